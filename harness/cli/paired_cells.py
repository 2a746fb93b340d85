"""The columns of a paired test in a table: difference with interval, and corrected p-values."""

from __future__ import annotations

from harness.leaderboard.statistics import PairedTest
from harness.leaderboard.tables import signed


def paired_columns(baseline: str, margin: float | None) -> list[str]:
    """The headings; ``margin`` in points adds the test for equivalence."""
    return [f"Δ {baseline}", "p", *([] if margin is None else [f"p |Δ|≥{margin:g}"])]


def paired_cells(test: PairedTest | None, margin: float | None, interval: bool = True) -> list[str]:
    """A cell for each heading; the difference with its interval, if wanted."""
    if test is None or test.difference is None:
        return ["-"] * len(paired_columns("", margin))
    within = f" [{signed(test.interval.low)}, {signed(test.interval.high)}]" if interval and test.interval else ""
    cells = [f"{signed(test.difference)}{within}", _p(test.p_holm)]
    return cells if margin is None else [*cells, _p(test.p_equivalent_holm)]


def paired_notes(baseline: str, margin: float | None) -> list[str]:
    """What the columns are."""
    found = [f"Δ: difference to {baseline} on the same images; p: paired, two-sided, after Holm"]
    if margin is not None:
        below = f"below 0.05 the rows are equal within {points(margin)}"
        found.append(f"p |Δ|≥{margin:g}: two one-sided tests, after Holm; {below}")
    return found


def points(number: float) -> str:
    """``1 point``, ``0.5 points``."""
    return f"{number:g} point{'' if number == 1 else 's'}"


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
