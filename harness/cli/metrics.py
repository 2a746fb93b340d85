"""``harness leaderboard metrics``: the table of metrics."""

from __future__ import annotations

from typing import Any

from harness.cli import console
from harness.cli.print_tables import form, print_tables
from harness.leaderboard.tables import Table
from harness.metrics.built_in import BUILT_IN
from harness.metrics.metric import Metric
from harness.registry import load_all


def metrics(json: bool, markdown: bool) -> int:
    """Run ``harness leaderboard metrics``: the built-in ones, then those of plugins."""
    wanted = form({"json": json, "markdown": markdown})
    plugins = [plugin.value for plugin in load_all("metric")[0]]
    found = [*BUILT_IN.values(), *sorted(plugins, key=lambda metric: metric.name)]
    if wanted == "json":
        console.document([_record(metric) for metric in found])
        return 0
    rows = [(one.name, one.heading, _better(one), _intervals(one), one.meaning) for one in found]
    notes = ["`harness leaderboard show FILE --metric NAME` shows one; docs/metrics.md has formulas and sources"]
    print_tables([Table("", ("name", "in tables", "better", "intervals", "meaning"), rows, 5, notes)], wanted)
    return 0


def _record(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "heading": metric.heading,
        "meaning": metric.meaning,
        "needs": list(metric.needs),
        "higher_is_better": metric.higher_is_better,
        "intervals": metric.resampling is not None,
    }


def _better(metric: Metric) -> str:
    return "higher" if metric.higher_is_better else "lower"


def _intervals(metric: Metric) -> str:
    return "yes" if metric.resampling is not None else "no"
