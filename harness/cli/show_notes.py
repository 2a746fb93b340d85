"""The notes below a table of ``harness leaderboard show``; what several rows share is said once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from harness.cli.paired_cells import paired_notes
from harness.datasets.layout import short_name
from harness.leaderboard.bootstrap import MEAN
from harness.leaderboard.data_warnings import data_warnings
from harness.leaderboard.failures import failure_groups, missing_hint
from harness.leaderboard.series import row_labels
from harness.leaderboard.view import ViewRow, ViewTable
from harness.progress import pluralize
from harness.results.verification_marks import Verification

NAMED = 3
"""Rows that a note names; it counts the others."""


def name(made: ViewRow, table: ViewTable) -> str:
    """A row's name in its table: the method, its id if there are several, and its mark."""
    return short_row_name(made, table) + _mark(made.verified)


def short_row_name(made: ViewRow, table: ViewTable) -> str:
    """A row's name without its mark."""
    return f"{made.row.method} {made.row.id[:6]}" if _several(made, table) else made.row.method


def notes(table: ViewTable, baseline: str | None, margin: float | None = None) -> list[str]:
    """What the figures are, and what is missing; ``margin`` is that of equivalence, in points."""
    where = pluralize(len(table.domains), "domains") if table.place == MEAN else short_name(table.place)
    lines = [f"percent; mean over seeds and {where}" if table.place == MEAN else f"percent; {where}, mean over seeds"]
    if any(made.intervals for made in table.rows):
        lines[0] += " with its 95 % interval (paired bootstrap over images and seeds)"
        lines.append("rank: one more than the rows that are surely better (ahead in over 97.5 % of the replicates)")
    if baseline:
        lines += paired_notes(baseline, margin)
    found = [made.verified for made in table.rows if made.verified]
    lines += [f"{_mark(one)} {one.text}".strip() if one.status == "verified" else one.text for one in found]
    labels = row_labels(made.row for made in table.rows)
    lines += [f"{short_row_name(made, table)}: {labels[made.row.id]}" for made in table.rows if _several(made, table)]
    lines += [*_seeds(table), *_missing(table, baseline), *_failures(table)]
    lines += data_warnings(made.row for made in table.rows)
    return list(dict.fromkeys(lines))


def _several(made: ViewRow, table: ViewTable) -> bool:
    """Whether the table has several rows of its method."""
    return sum(other.row.method == made.row.method for other in table.rows) > 1


def _mark(found: Verification | None) -> str:
    if found is None:
        return ""
    return {"data": " ✓✓", "labels": " ✓"}[found.against] if found.status == "verified" else " (claimed)"


def _seeds(table: ViewTable) -> list[str]:
    """The seeds of each row, if they differ."""
    drawn: dict[str, list[str]] = {}
    for made in table.rows:
        if not made.row.seedless:
            drawn.setdefault(", ".join(map(str, made.row.seeds)), []).append(name(made, table))
    return [f"seeds {seeds}: {', '.join(names)}" for seeds, names in drawn.items()] if len(drawn) > 1 else []


def _missing(table: ViewTable, baseline: str | None) -> Iterator[str]:
    """Why rows have no rank, no IP figures, no interval or no test."""
    rows = table.rows
    yield from _said_once(
        "is not ranked", "are not ranked", ((name(one, table), one.not_ranked) for one in rows), len(rows)
    )
    yield from _said_once(
        "has only OOP figures",
        "have only OOP figures",
        ((name(one, table), one.row.not_applicable) for one in rows),
        len(rows),
    )
    yield from _said_once(
        "has no interval", "have no interval", ((name(one, table), one.no_interval) for one in rows), len(rows)
    )
    tested = [one for one in rows if one.test is not None and one.row.method != baseline]
    reasons = ((name(one, table), one.test.reason if one.test else None) for one in tested)
    yield from _said_once("is not tested", "are not tested", reasons, len(tested))


def _failures(table: ViewTable) -> Iterator[str]:
    for made in table.rows:
        for group in failure_groups(made.row, table.place):
            yield f"{name(made, table)}, {group.where}: {group.kind}: {group.reason}"
    if hint := missing_hint([made.row for made in table.rows], table.place):
        yield hint


def _said_once(one: str, several: str, reasons: Iterable[tuple[str, str | None]], of: int) -> Iterator[str]:
    """A sentence for each reason, with the rows that it is of; hashes of files do not make it another one."""
    same: dict[str, list[tuple[str, str]]] = {}
    for who, reason in reasons:
        if reason is not None:
            same.setdefault(re.sub(r"\b[0-9a-f]{12,64}\b", "", reason), []).append((who, reason))
    for found in same.values():
        names = [who for who, _ in found]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        who = "all rows" if len(names) == of > 1 else ", ".join(names[:NAMED]) + more
        yield f"{who} {several if len(names) > 1 else one}: {found[0][1]}"
