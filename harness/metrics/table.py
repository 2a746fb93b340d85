"""All metrics: the built-in ones, and those of installed plugins.

Plugins are looked for only where a name or a record is not of built-in metrics alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache

from harness.errors import PluginError
from harness.metrics.built_in import BUILT_IN, in_table_order
from harness.metrics.metric import Metric
from harness.registry import Broken, Origin, Plugin, find, installed, load, offers, unknown_plugin
from harness.registry.loading import HINT

VERSION = "metric {}"
"""The key of a plugin metric's edition in the versions of a cell or row."""


def plugin_metrics(without: Collection[str] = ()) -> tuple[dict[str, Plugin[Metric]], list[Broken]]:
    """The plugins that work, by name, and those that do not; each is imported once in a process.

    Args:
        without: distributions whose metrics are not even imported.
    """
    wanted = [e for e in installed() if e.kind == "metric" and e.origin.distribution not in without]
    found = [_loaded(entry.origin) for entry in wanted]
    working = {plugin.name: plugin for plugin in found if isinstance(plugin, Plugin)}
    return working, [plugin for plugin in found if isinstance(plugin, Broken)]


@cache
def _loaded(origin: Origin) -> Plugin[Metric] | Broken:
    try:
        return load("metric", origin.name)
    except PluginError as error:
        return Broken("metric", origin, error.message.removeprefix(f"{origin} "))


def all_metrics() -> dict[str, Metric]:
    """Every metric by its name, in the order of tables."""
    return BUILT_IN | {name: plugin.value for name, plugin in plugin_metrics()[0].items()}


def find_metric(name: str) -> Metric | None:
    """The metric of that name; None if there is none that works."""
    if name in BUILT_IN or not offers("metric", name):
        return BUILT_IN.get(name)
    plugin = _loaded(find("metric", name).origin)
    return plugin.value if isinstance(plugin, Plugin) else None


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
    named = (entry.origin for entry in installed() if entry.kind == "metric") if _has_plugins(versions) else ()
    found = [_loaded(origin) for origin in named if VERSION.format(origin.name) in versions]
    working = [plugin for plugin in found if isinstance(plugin, Plugin)]
    return BUILT_IN | {p.name: p.value for p in working if versions[VERSION.format(p.name)] == p.origin.edition}


def _has_plugins(versions: Mapping[str, str]) -> bool:
    return any(key.startswith(VERSION.format("")) for key in versions)


def summary_metrics(names: Iterable[str]) -> list[Metric]:
    """Those of some metrics that sum up a row at the end of a run, in the order of tables."""
    known = (metric for name in in_table_order(names) if (metric := find_metric(name)))
    return [metric for metric in known if metric.summary] or [BUILT_IN["oop_top1"]]
