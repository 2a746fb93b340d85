"""``harness leaderboard compare | diff``: compare rows of two leaderboards."""

from __future__ import annotations

from pathlib import Path

from harness.cli import console
from harness.cli.print_tables import Form, print_tables
from harness.datasets.layout import short_name
from harness.errors import UserError
from harness.leaderboard import compare as comparing
from harness.leaderboard.bootstrap import MEAN
from harness.leaderboard.published import published_tables
from harness.leaderboard.tables import Table, percent, share, signed
from harness.progress import pluralize
from harness.results.artifacts import open_file


def compare(a: Path, b: Path | None, published: bool, wanted: Form) -> int:
    """Run ``harness leaderboard compare``."""
    if b is not None and published:
        raise UserError("a second file and --published exclude each other", "give one of them")
    if b is None and not published:
        raise UserError("there is nothing to compare it with", "give a second file, or --published")
    ours, _ = open_file(a)
    only: dict[str, list[str]] = {}
    if b is None:
        found = comparing.with_published(ours, published_tables())
    else:
        found, only_a, only_b = comparing.between(ours, open_file(b)[0])
        only = {"only in A": [comparing.title(r) for r in only_a], "only in B": [comparing.title(r) for r in only_b]}
    if wanted == "json":
        console.document({"comparisons": [c.json() for c in found], **only})
        return 0
    for one in found:
        table, of_metric = _table(one), 2 if one.reasons else 3
        print_tables(table.parts(console.out().width, together=of_metric) if wanted == "text" else [table], wanted)
    for where, titles in only.items():
        for title in titles:
            console.err().print(f"{where}: {title}", markup=False)
    if not found:
        console.err().print("no row has a counterpart", markup=False)
    return 0


def diff(a: Path, b: Path, as_json: bool) -> int:
    """Run ``harness leaderboard diff``; 3 if there is a difference."""
    found = comparing.diff(open_file(a)[0], open_file(b)[0])
    if as_json:
        console.document({title: [d._asdict() for d in what] for title, what in found.items()})
    else:
        for title, what in found.items():
            console.out().print(title, style="bold", markup=False)
            for one in what:
                console.out().print(f"  {one}", markup=False, soft_wrap=True)
        count = sum(map(len, found.values()))
        console.lines(
            f"{pluralize(count, 'differences')} in {pluralize(len(found), 'rows')}" if found else "no difference"
        )
    return console.EXIT_DIFFERENT if found else 0


def _table(one: comparing.Comparison) -> Table:
    shots = f", {pluralize(one.left.shots, 'shots')}" if one.left.shots else ""
    columns = ["domain"]
    for metric in one.metrics:
        columns += [f"{metric} {one.left.label}", one.right.label, *(["Δ"] if not one.reasons else [])]
    rows = []
    for place, figures in one.json()["figures"].items():
        cells = [short_name(place)]
        for metric in one.metrics:
            values = figures[metric]
            over = [share(n, len(one.domains)) if place == MEAN else "" for n in one.over]
            cells += [_percent(values["left"]) + over[0], _percent(values["right"]) + over[1]]
            less = values["difference"]
            cells += [] if one.reasons else ["-" if less is None else signed(less, 2)]
        rows.append(cells)
    notes = [*(f"not comparable: {reason}" for reason in one.reasons), *one.notes]
    return Table(f"{one.left.method}{shots}: {one.left.label} and {one.right.label}", columns, rows, 1, notes)


def _percent(value: float | None) -> str:
    return "-" if value is None else percent(value, 2)
