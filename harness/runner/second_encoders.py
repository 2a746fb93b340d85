"""Second image encoders that methods ask for by name: models of timm, identified by their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.backbones.backbone import ResolvedBackbone
from harness.backbones.find import find
from harness.datasets.digests import DigestIndex
from harness.errors import UserError
from harness.parameters import walk_values
from harness.progress import Reporter
from harness.runner.choose_backbone import fetch_backbone
from harness.runner.chosen_method import ChosenMethod
from harness.runner.request import Request
from harness.types.cell import MODEL_FOLDERS, TIMM
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
                found = find(TIMM + name, None)
                resolved[name] = fetch_backbone(found, request, index, report).with_rule(rule)
    return [_recorded(method, resolved) for method in methods], resolved


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
    if not method.encoders:
        return method
    own = {resolved[name].record.architecture: resolved[name].record.weights_sha256 for name in method.encoders}
    return replace(method, record=method.record.model_copy(update={"encoders": own}))
