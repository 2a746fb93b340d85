"""Resolve a run's plugins: methods, metrics, observers, and a protocol, backbone or data set that is not built in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from harness import registry
from harness.errors import PluginError
from harness.hookspecs import BackboneOffer, DatasetOffer
from harness.method import Method, build, parameters
from harness.metrics import Metric
from harness.metrics.table import plugin_metrics
from harness.parameters import require_file_paths
from harness.progress import Reporter
from harness.protocols import PROTOCOLS, Protocol
from harness.registry import Kind, Plugin
from harness.runner.request import MethodChoice, Request
from harness.types.cell import MethodRecord

Resolved = tuple[MethodRecord, Method, dict[str, str]]
"""A method's record, the method to fit, and the versions of what its distribution requires."""


def resolve_methods(request: Request, protocol: Protocol, report: Reporter) -> list[Resolved]:
    """The request's methods; for ``--plugin all`` those that work, with a note about every broken one.

    Raises:
        HarnessError: a method is broken or unknown, or a parameter is not valid.
    """
    found = []
    optional = registry.names("method") if request.all_plugins else ()
    if request.all_plugins:
        _note_broken(registry.broken(), "method", report)
    for choice in request.methods:
        try:
            plugin = choice.plugin or _load("method", choice.name, report)
        except PluginError as error:
            if choice.name not in optional:
                raise
            report.note(f"left out: {error.message}")
        else:
            found.append(_resolved(choice, plugin, protocol))
    return found


def _resolved(choice: MethodChoice, plugin: Plugin[type[Method]], protocol: Protocol) -> Resolved:
    preset = choice.preset or (protocol.preset if protocol.preset in plugin.value.presets else None)
    method = build(choice.name, plugin.value, preset, choice.parameters)
    if protocol.scoring != "names" and "pool" in parameters(method):
        method = replace(method, pool="test-unlabeled")  # type: ignore[type-var]  # what the protocol gives
    require_file_paths(choice.name, parameters(method))
    record = MethodRecord(
        name=choice.name,
        distribution=plugin.origin.distribution,
        version=plugin.origin.version,
        code=plugin.origin.code,
        parameters=parameters(method),
        needs=method.needs.declared(),
        seeded=method.seeded,
        pool=method.pool if method.needs.unlabeled else None,
    )
    return record, method, plugin.origin.requirements


def resolve_protocol(request: Request, report: Reporter) -> Plugin[Protocol] | None:
    """The protocol's plugin; None if it is built in, or known from the request's manifests alone.

    Raises:
        PluginError: the protocol is unknown, or its plugin is broken.
    """
    name = request.protocol
    if name in PROTOCOLS or (request.manifests is not None and not registry.offers("protocol", name)):
        return None
    return _load("protocol", name, report)


def resolve_backbone(name: str, report: Reporter) -> Plugin[BackboneOffer] | None:
    """The backbone's plugin; None if no distribution offers one of that name.

    Raises:
        PluginError: it is broken.
    """
    return _load("backbone", name, report) if registry.offers("backbone", name) else None


def resolve_dataset(name: str, report: Reporter) -> Plugin[DatasetOffer] | None:
    """The data set's plugin; None if no distribution offers one of that name.

    Raises:
        PluginError: it is broken.
    """
    return _load("dataset", name, report) if registry.offers("dataset", name) else None


def resolve_metrics(report: Reporter) -> list[Plugin[Metric]]:
    """All metrics of plugins that work, with a note about every other."""
    found, broken = plugin_metrics()
    return _noted("metric", list(found.values()), broken, report)


def resolve_observers(report: Reporter) -> list[Plugin[Any]]:
    """All observers that work, with a note about every broken one."""
    return _noted("observer", *registry.load_all("observer"), report)


def _noted(
    kind: Kind, found: list[Plugin[Any]], broken: Iterable[registry.Broken], report: Reporter
) -> list[Plugin[Any]]:
    """The plugins that work, after notes about the broken ones and about settings that imports changed."""
    _note_broken(broken, kind, report)
    for plugin in found:
        _note_warning(plugin, report)
    return found


def _load(kind: Kind, name: str, report: Reporter) -> Plugin[Any]:
    plugin = registry.load(kind, name)
    _note_warning(plugin, report)
    return plugin


def _note_warning(plugin: Plugin[Any], report: Reporter) -> None:
    if plugin.warning:
        report.note(plugin.warning)


def _note_broken(broken: Iterable[registry.Broken], kind: Kind, report: Reporter) -> None:
    for culprit in broken:
        if culprit.kind in (kind, "distribution"):
            report.note(f"left out: {culprit}")
