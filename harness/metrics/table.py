"""All metrics: the built-in ones, and those of installed plugins.

Plugins are looked for only where a name or a record is not of built-in metrics alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from harness.errors import PluginError
from harness.metrics.built_in import BUILT_IN, in_table_order
from harness.metrics.metric import Metric
from harness.registry import load

VERSION = "metric {}"
"""The key of a plugin metric's edition in the versions of a cell or row."""


def find_metric(name: str) -> Metric | None:
    """The metric of that name; None if there is none that works."""
    try:
        return require_metric(name)
    except PluginError:
        return None


def require_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        PluginError: there is none, or the plugin that offers it is broken.
    """
    return BUILT_IN[name] if name in BUILT_IN else load("metric", name).value


def metrics_of(versions: Mapping[str, str]) -> dict[str, Metric]:
    """The metrics of a cell or row with these versions: built-in ones, and plugins' of the recorded edition."""
    found = dict(BUILT_IN)
    for key, edition in versions.items():
        if key.startswith(VERSION.format("")):
            with suppress(PluginError):
                plugin = load("metric", key.removeprefix(VERSION.format("")))
                found |= {plugin.name: plugin.value} if plugin.origin.edition == edition else {}
    return found


def summary_metrics(names: Iterable[str]) -> list[Metric]:
    """Those of some metrics that sum up a row at the end of a run, in the order of tables."""
    known = (metric for name in in_table_order(names) if (metric := find_metric(name)))
    return [metric for metric in known if metric.summary] or [BUILT_IN["oop_top1"]]
