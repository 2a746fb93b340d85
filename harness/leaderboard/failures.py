"""The failed and missing cells of a row as few sentences: one for all of the same kind and reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.datasets.layout import short_name
from harness.leaderboard.bootstrap import MEAN
from harness.progress import pluralize
from harness.types.leaderboard import Row, RowFailure

NAMED = 3
"""Domains that a sentence names; it counts the others."""


class FailureGroup(NamedTuple):
    """The failed or missing cells of a row with one kind and reason."""

    kind: str
    reason: str
    cells: tuple[RowFailure, ...]

    @property
    def where(self) -> str:
        """Such as ``Food, seed 1`` or ``24 cells of Animals, Food, Plants and 5 more domains``."""
        first, *others = self.cells
        if not others:
            return short_name(first.domain) + ("" if first.seed is None else f", seed {first.seed}")
        domains = list(dict.fromkeys(short_name(failure.domain) for failure in self.cells))
        more = f" and {pluralize(len(domains) - NAMED, 'more domains')}" if len(domains) > NAMED else ""
        return f"{len(self.cells)} cells of {', '.join(domains[:NAMED])}{more}"


def failure_groups(row: Row, place: str = MEAN) -> list[FailureGroup]:
    """The failed and missing cells of a row, or of one domain of it, by kind and reason."""
    found: dict[tuple[str, str], list[RowFailure]] = {}
    for failure in row.failures:
        if place in (MEAN, failure.domain):
            found.setdefault((failure.kind, failure.reason), []).append(failure)
    return [FailureGroup(kind, reason, tuple(cells)) for (kind, reason), cells in found.items()]


def missing_hint(rows: Sequence[Row], place: str = MEAN) -> str | None:
    """How to run the missing cells of some rows; None if there are none."""
    lost = [(row, f) for row in rows for f in row.failures if f.kind == "missing" and place in (MEAN, f.domain)]
    if not lost:
        return None
    methods = ",".join(dict.fromkeys(row.method for row, _ in lost))
    seeds = sorted(
        {s for row, failure in lost if not row.seedless for s in (*row.seeds, failure.seed) if s is not None}
    )
    drawn = f" --seeds {','.join(map(str, seeds))}" if seeds else ""
    return (
        f"next: `harness evaluate --plugin {methods}{drawn}`, with the other options of that run, runs what is missing"
    )
