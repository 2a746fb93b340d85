"""Resolve a run's plugins except methods: metrics, and a protocol, backbone or data set of a plugin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from harness import registry
from harness.execution.built_in import EXECUTORS
from harness.hookspecs import BackboneOffer, DatasetOffer
from harness.metrics import Metric
from harness.progress import Reporter
from harness.protocols import PROTOCOLS, Protocol
from harness.registry import Kind, Plugin
from harness.runner.chosen_method import ChosenMethod
from harness.runner.request import Request

if TYPE_CHECKING:
    from harness.execution.executors import OpenExecutor


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


def resolve_executor(name: str, address: str | None, report: Reporter) -> OpenExecutor:
    """What opens the executor of that name.

    Raises:
        PluginError: there is none, or its plugin is broken.
        UserError: ray is not installed, or its cluster does not answer.
    """
    if name == "ray":
        from harness.execution.ray_cluster import require_cluster

        require_cluster(address)
    return EXECUTORS[name] if name in EXECUTORS else _load("executor", name, report).value


def resolve_metrics(methods: Sequence[ChosenMethod], report: Reporter) -> list[Plugin[Metric]]:
    """All metrics of plugins that work, with a note about every other.

    A metric runs where methods are judged. So those of distributions whose methods run are not even imported.
    """
    playing = {method.record.distribution for method in methods}
    for entry in registry.installed():
        if entry.kind == "metric" and entry.origin.distribution in playing:
            report.note(f"left out: {entry.origin}: its distribution's methods run too, and none judges its own")
    found, broken = registry.load_all("metric", without=playing)
    note_broken(broken, "metric", report)
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


def note_broken(broken: Iterable[registry.Broken], kind: Kind, report: Reporter) -> None:
    """Note the broken plugins of a kind."""
    for culprit in broken:
        if culprit.kind in (kind, "distribution"):
            report.note(f"left out: {culprit}")
