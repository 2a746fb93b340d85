"""All metrics: the built-in ones, and those of installed plugins.

Plugins are looked for only where a name or a record is not of built-in metrics alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from harness.errors import PluginError
from harness.metrics.built_in import BUILT_IN, in_table_order
from harness.metrics.metric import Metric
from harness.registry import Broken, Plugin, load_all, unknown_plugin
from harness.registry.loading import HINT

VERSION = "metric {}"
"""The key of a plugin metric's edition in the versions of a cell or row."""


@cache
def plugin_metrics() -> tuple[dict[str, Plugin[Metric]], tuple[Broken, ...]]:
    """The plugins that work, by name, and those that do not; they are imported once in a process."""
    plugins, broken = load_all("metric")
    return {plugin.name: plugin for plugin in plugins}, tuple(broken)


def all_metrics() -> dict[str, Metric]:
    """Every metric by its name, in the order of tables."""
    return BUILT_IN | {name: plugin.value for name, plugin in plugin_metrics()[0].items()}


def find_metric(name: str) -> Metric | None:
    """The metric of that name; None if there is none that works."""
    return BUILT_IN.get(name) or all_metrics().get(name)


def require_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        PluginError: there is none, or the plugin that offers it is broken.
    """
    if (found := find_metric(name)) is not None:
        return found
    for culprit in plugin_metrics()[1]:
        if culprit.origin.name == name:
            raise PluginError(str(culprit), HINT)
    raise unknown_plugin("metric", name, all_metrics())


def metrics_of(versions: Mapping[str, str]) -> dict[str, Metric]:
    """The metrics of a cell or row with these versions: built-in ones, and plugins' of the recorded edition."""
    if not any(key.startswith(VERSION.format("")) for key in versions):
        return BUILT_IN
    plugins = plugin_metrics()[0].values()
    return BUILT_IN | {p.name: p.value for p in plugins if versions.get(VERSION.format(p.name)) == p.origin.edition}


def summary_metrics(names: Iterable[str]) -> list[Metric]:
    """Those of some metrics that sum up a row at the end of a run, in the order of tables."""
    known = (metric for name in in_table_order(names) if (metric := find_metric(name)))
    return [metric for metric in known if metric.summary] or [BUILT_IN["oop_top1"]]
