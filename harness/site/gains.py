"""Effective OOP gain of the page's rows, and the line of zero-shot that it is measured from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.analysis.effective_gain import LogitFit, effective_gains
from harness.errors import UserError
from harness.plots.looks import REFERENCE
from harness.types.leaderboard import Row

STEPS = 50
"""Pieces of the drawn line."""


def gains(rows: Iterable[tuple[tuple[str, str], Row]]) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The lines of the page, and what rows gain.

    Args:
        rows: each with its protocol and data set, as the page names them.

    Returns:
        A line for each protocol and data set where zero-shot has enough domains: ``protocol``, ``dataset``, the
        ``text`` that says what was fitted, and the ``curve``, pairs of IP and OOP accuracy in percent. And of each row
        with both accuracies the gain in ``domains`` and its ``mean`` (None for an incomplete row), as fractions.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for place, row in rows:
        groups.setdefault(place, []).append(row)
    lines, found = [], {}
    for (protocol, dataset), group in sorted(groups.items(), key=lambda one: one[0]):
        try:
            fit, made = effective_gains(group, REFERENCE)
        except UserError:
            continue
        lines.append({"protocol": protocol, "dataset": dataset, "text": fit.equation(REFERENCE), "curve": _curve(fit)})
        complete = {row.id: row.complete for row in group}
        for one in made:
            domains = {domain: gain for domain, (_, _, gain) in one.domains.items()}
            found[one.row] = {"domains": domains, "mean": one.mean if complete[one.row] else None}
    return lines, found


def _curve(fit: LogitFit) -> list[list[float]]:
    ends = [i / STEPS for i in range(STEPS + 1)]
    return [[100 * ip, round(100 * fit.predict(ip), 3)] for ip in ends]
