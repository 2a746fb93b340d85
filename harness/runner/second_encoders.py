"""Second image encoders that methods ask for by name: models of timm, identified by their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.backbones.backbone import ResolvedBackbone
from harness.backbones.find import find
from harness.datasets.digests import DigestIndex
from harness.errors import BackboneError, UserError
from harness.parameters import walk_values
from harness.progress import Reporter
from harness.runner.choose_backbone import fetch_backbone
from harness.runner.chosen_method import ChosenMethod
from harness.runner.request import Request
from harness.types.cell import LOCAL, MODEL_FOLDERS, TIMM, MethodRecord
from harness.types.feature_rule import FeatureRule

MOST = 4
"""Second encoders of one method; more is a mistake."""


def with_encoders(
    methods: Sequence[ChosenMethod], request: Request, index: DigestIndex, rule: FeatureRule, report: Reporter
) -> tuple[list[ChosenMethod], dict[str, ResolvedBackbone]]:
    """The methods with the weights of their encoders in their records, and the encoders by name.

    Raises:
        UserError: a method asks for too many, or for a model that its user did not name and that is not timm's own.
        HarnessError: there is no such model, or its weights are not available.
    """
    resolved: dict[str, ResolvedBackbone] = {}
    for method in methods:
        _require_allowed(method)
        for name in method.encoders:
            if name not in resolved:
                resolved[name] = _resolved(name, method.record.name, request, index, report).with_rule(rule)
    return [_recorded(method, resolved) for method in methods], resolved


def _resolved(name: str, method: str, request: Request, index: DigestIndex, report: Reporter) -> ResolvedBackbone:
    """An encoder with its weights; errors name the method that asks for it."""
    what = f"{method} asks for a second encoder"
    try:
        found = find(TIMM + name, None)
    except BackboneError as error:
        hint = f"check the path after {LOCAL}" if name.startswith(LOCAL) else error.hint or ""
        raise BackboneError(f"{what}: {error.message}", hint) from None
    try:
        return fetch_backbone(found, request, index, report)
    except BackboneError as error:
        hint = f"get it on a machine with a network, and name its folder in place of {name}: {LOCAL}FOLDER"
        raise BackboneError(f"{what}: {error.message}", hint) from None


def _require_allowed(method: ChosenMethod) -> None:
    """Check the names, which code of a plugin chooses: it must not make this process fetch whatever it likes."""
    name, stated = method.record.name, set(map(str, walk_values(method.record.parameters)))
    if len(method.encoders) > MOST:
        raise UserError(f"{name} asks for {len(method.encoders)} second encoders", f"a method may have {MOST}")
    for encoder in method.encoders:
        if encoder.startswith(MODEL_FOLDERS) and encoder not in stated:
            raise UserError(
                f"{name} asks for the encoder {encoder}, which is none of timm's own",
                "a method takes such an encoder from a parameter only, so that its user decides",
            )


def _recorded(method: ChosenMethod, resolved: Mapping[str, ResolvedBackbone]) -> ChosenMethod:
    """The method whose record names its encoders, and no folder of this machine."""
    if not method.encoders:
        return method
    of = {name: resolved[name].record for name in method.encoders}
    parameters = _renamed(method.record.parameters, {name: of[name].architecture.removeprefix(TIMM) for name in of})
    encoders = {record.architecture: record.weights_sha256 for record in of.values()}
    return replace(method, record=method.record.model_copy(update={"encoders": encoders, "parameters": parameters}))


def with_local_folders(record: MethodRecord, files: Mapping[str, Path]) -> dict[str, Any]:
    """The parameters of a record, with the folders of encoders on this machine.

    Args:
        record: of a method; its encoders in folders are named by the folder alone.
        files: sha256 -> path of files on this machine, with the weights of those encoders among them.

    Raises:
        UserError: the weights of one are missing.
    """
    folders = {}
    for architecture, sha256 in record.encoders.items():
        if architecture.startswith(TIMM + LOCAL):
            if sha256 not in files:
                raise UserError(
                    f"{record.name} was run with the encoder {architecture}, whose folder is not recorded",
                    f"give its weights with --file: the file of sha256 {sha256}",
                )
            folders[architecture.removeprefix(TIMM)] = f"{LOCAL}{files[sha256].parent.absolute()}"
    renamed: dict[str, Any] = _renamed(record.parameters, folders)
    return renamed


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A parameter with other names of encoders, wherever they are in it."""
    if isinstance(value, dict):
        return {key: _renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value
