"""``harness leaderboard show | schema``: rows as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from harness.cli import console
from harness.datasets.layout import short_name
from harness.errors import UserError, unknown_name
from harness.leaderboard.bootstrap import MEAN
from harness.leaderboard.data_warnings import data_warnings
from harness.leaderboard.schema import json_schema
from harness.leaderboard.series import row_labels
from harness.leaderboard.statistics import PairedTest
from harness.leaderboard.tables import Table, percent, share, signed
from harness.leaderboard.view import ViewRow, ViewTable, read_sources, view
from harness.metrics.built_in import BUILT_IN, HEADLINES
from harness.progress import pluralize
from harness.results.verification_marks import Verification
from harness.types.leaderboard import Stat

Form = Literal["text", "json", "markdown", "latex"]


def form(as_json: bool, markdown: bool, latex: bool) -> Form:
    """The output form that the options select."""
    forms: tuple[tuple[Form, bool], ...] = (("json", as_json), ("markdown", markdown), ("latex", latex))
    wanted = [name for name, on in forms if on]
    if len(wanted) > 1:
        raise UserError("--json, --markdown and --latex exclude each other", "give one of them")
    return wanted[0] if wanted else "text"


def show(files: Sequence[Path], metric: str | None, baseline: str | None, cost: bool, wanted: Form) -> int:
    """Run ``harness leaderboard show``."""
    made = view(read_sources(files), metric or HEADLINES[0], baseline, or_headline=True)
    if metric and made and all(table.metric != metric for table in made):
        there = {name for table in made for one in table.rows for stats in one.row.domains.values() for name in stats}
        raise unknown_name("metric in these files", metric, there)
    if wanted == "json":
        console.document([_table_json(table) for table in made])
        return 0
    if not made:
        console.err().print("these files have no rows", markup=False)
    for table in made:
        if metric and table.metric != metric:
            title = table.names.title(table.shots)
            console.err().print(f"{title} has no {metric}: {table.metric} is shown", style="yellow", markup=False)
    for table in made:
        wide = _wide(table, baseline, cost)
        width = console.out().width
        narrow = wanted == "text" and width < wide.width
        print_tables([*_tall(table, width), _summary(table, baseline, cost)] if narrow else [wide], wanted)
        if any(_discovery(made) for made in table.rows):
            print_tables([_pools(table)], wanted)
    return 0


def schema() -> int:
    """Run ``harness leaderboard schema``."""
    console.document(json_schema())
    return 0


def print_tables(tables: Sequence[Table], wanted: Form) -> None:
    """Print tables as text, Markdown or LaTeX."""
    for table in tables:
        if wanted == "text":
            console.out().print(console.table(table.title, table.columns, table.rows, left=table.left))
            for note in table.notes:
                console.out().print(note, style="dim", markup=False, soft_wrap=True)
        else:
            console.lines(table.markdown() if wanted == "markdown" else table.latex())


def even_parts(first: int, own: Sequence[int], width: int) -> list[slice]:
    """Split columns of widths ``own`` into as few even groups as fit; ``first`` is the width repeated in each."""
    size, starts = 1, range(len(own))
    for parts in range(1, len(own) + 1):
        size = -(-len(own) // parts)
        starts = range(0, len(own), size)
        if all(first + sum(own[start : start + size]) <= width for start in starts):
            break
    return [slice(start, start + size) for start in starts]


def _wide(table: ViewTable, baseline: str | None, cost: bool) -> Table:
    """A row for each row, domains side by side."""
    columns = ["rank", "method", *(short_name(d) for d in table.domains), MEAN, *_extra(baseline, cost), "row"]
    rows = [
        (
            _rank(made),
            _name(made, table),
            *(_cell(made, d) for d in table.domains),
            _mean(made, table),
            *_extra_cells(made, baseline, cost),
            made.row.id,
        )
        for made in table.rows
    ]
    return Table(table.title, columns, rows, 2, _notes(table, baseline))


def _tall(table: ViewTable, width: int) -> list[Table]:
    """For a narrow terminal: a line per domain, methods side by side, in as few even parts as fit."""
    domains = _methods(table, ()).width
    own = [_methods(table, (row,)).width - domains for row in table.rows]
    return [_methods(table, table.rows[part]) for part in even_parts(domains, own, width)]


def _methods(table: ViewTable, rows: Sequence[ViewRow]) -> Table:
    lines = [(short_name(d), *(_cell(made, d) for made in rows)) for d in table.domains]
    return Table(table.title, ("domain", *(_name(made, table) for made in rows)), lines)


def _summary(table: ViewTable, baseline: str | None, cost: bool) -> Table:
    columns = ("rank", "method", MEAN, *_extra(baseline, cost))
    rows = [
        (_rank(made), _name(made, table), _mean(made, table), *_extra_cells(made, baseline, cost))
        for made in table.rows
    ]
    return Table("", columns, rows, 2, _notes(table, baseline))


def _pools(table: ViewTable) -> Table:
    """What methods discovered in their pools, with the accuracy on test images, the one that counts."""
    shown = ("oop_top1", *_pool_metrics())
    columns = ("method", "pool", *(BUILT_IN[metric].heading for metric in shown))
    rows = []
    for made in table.rows:
        mean = made.row.mean
        if _discovery(made):
            figures = [percent(mean[m].mean) if m in mean else "-" for m in shown]
            rows.append((_name(made, table) + _over(made, table), made.row.method_record.pool or "-", *figures))
    note = (
        "OOP: test images that are named rightly. Of the pool: images named rightly, right under the best naming of "
        "the clusters, in a cluster with a name; clusters that have the name of most of their images"
    )
    return Table("discovery", columns, rows, 2, [note])


def _pool_metrics() -> list[str]:
    return [name for name, metric in BUILT_IN.items() if metric.sides == {"pool"}]


def _discovery(made: ViewRow) -> dict[str, Stat]:
    """The means of the metrics of a row's pool."""
    return {metric: made.row.mean[metric] for metric in _pool_metrics() if metric in made.row.mean}


def _extra(baseline: str | None, cost: bool) -> list[str]:
    return [
        *([f"Δ {baseline}", "p"] if baseline else []),
        *(["seconds", "host MB", "GPU MB", "learned"] if cost else []),
    ]


def _extra_cells(made: ViewRow, baseline: str | None, cost: bool) -> list[str]:
    cells = _test(made.test) if baseline else []
    if cost and made.cost is None:
        cells += ["-"] * 4
    elif cost and made.cost is not None:
        peaks = (made.cost.peak_host_bytes, made.cost.peak_gpu_bytes)
        memory = ["-" if peak is None else f"{peak / 1e6:,.0f}" for peak in peaks]
        cells += [f"{made.cost.wall_seconds:,.1f}", *memory, f"{made.cost.trainable:,}"]
    return cells


def _test(test: PairedTest | None) -> list[str]:
    if test is None or test.difference is None:
        return ["-", "-"]
    within = f" [{signed(test.interval.low)}, {signed(test.interval.high)}]" if test.interval else ""
    return [f"{signed(test.difference)}{within}", "-" if test.p_holm is None else f"{test.p_holm:.3f}"]


def _name(made: ViewRow, table: ViewTable) -> str:
    return _short_name(made, table) + _mark(made.verified)


def _short_name(made: ViewRow, table: ViewTable) -> str:
    return f"{made.row.method} {made.row.id[:6]}" if _several(made, table) else made.row.method


def _several(made: ViewRow, table: ViewTable) -> bool:
    """Whether the table has several rows of its method."""
    return sum(other.row.method == made.row.method for other in table.rows) > 1


def _mark(found: Verification | None) -> str:
    if found is None:
        return ""
    return {"data": " ✓✓", "labels": " ✓"}[found.against] if found.status == "verified" else " (claimed)"


def _rank(made: ViewRow) -> str:
    return "-" if made.rank is None else str(made.rank)


def _cell(made: ViewRow, domain: str) -> str:
    holes = sorted({failure.kind for failure in made.row.failures if failure.domain == domain})
    if holes:
        return {"not applicable": "n/a"}.get(holes[0], holes[0])
    return percent(made.stats[domain].mean) if domain in made.stats else "-"


def _mean(made: ViewRow, table: ViewTable) -> str:
    if MEAN not in made.stats:
        return "-" if made.row.complete else "incomplete"
    found = made.intervals.get(MEAN)
    within = f" [{percent(found.low)}, {percent(found.high)}]" if found else ""
    return f"{percent(made.stats[MEAN].mean)}{within}{_over(made, table)}"


def _over(made: ViewRow, table: ViewTable) -> str:
    return share(len(made.row.domains), len(table.domains))


def _notes(table: ViewTable, baseline: str | None) -> list[str]:
    over = pluralize(len(table.domains), "domains")
    notes = [f"percent; mean over seeds and {over}"]
    if any(made.intervals for made in table.rows):
        notes[0] += " with its 95 % interval (paired bootstrap over images and seeds)"
        notes.append("rank: one more than the rows that are surely better (ahead in over 97.5 % of the replicates)")
    if baseline:
        notes.append(f"Δ: difference of the means to {baseline} on the same images; p: paired, two-sided, after Holm")
    found = [made.verified for made in table.rows if made.verified]
    notes += [f"{_mark(one)} {one.text}".strip() if one.status == "verified" else one.text for one in found]
    notes += _differing(table)
    notes += _seeds(table)
    for made in table.rows:
        if made.not_ranked is not None:
            notes.append(f"{_name(made, table)} is not ranked: {made.not_ranked}")
        if made.no_interval is not None:
            notes.append(f"{_name(made, table)} has no interval: {made.no_interval}")
        if made.test is not None and made.test.reason is not None and made.row.method != baseline:
            notes.append(f"{_name(made, table)} is not tested: {made.test.reason}")
        for failure in made.row.failures:
            seed = "" if failure.seed is None else f", seed {failure.seed}"
            notes.append(f"{_name(made, table)}, {failure.domain}{seed}: {failure.kind}: {failure.reason}")
    notes += data_warnings(made.row for made in table.rows)
    return list(dict.fromkeys(notes))


def _differing(table: ViewTable) -> list[str]:
    """What differs among several rows of one method."""
    labels = row_labels(made.row for made in table.rows)
    return [f"{_short_name(made, table)}: {labels[made.row.id]}" for made in table.rows if _several(made, table)]


def _seeds(table: ViewTable) -> list[str]:
    """The seeds of each row, if they differ."""
    drawn: dict[str, list[str]] = {}
    for made in table.rows:
        if not made.row.seedless:
            drawn.setdefault(", ".join(map(str, made.row.seeds)), []).append(_name(made, table))
    return [f"seeds {seeds}: {', '.join(names)}" for seeds, names in drawn.items()] if len(drawn) > 1 else []


def _table_json(table: ViewTable) -> dict[str, Any]:
    rows = []
    for made in table.rows:
        row = made.row
        figures = {
            place: {**stat.model_dump(), **(asdict(made.intervals[place]) if place in made.intervals else {})}
            for place, stat in made.stats.items()
        }
        rows.append(
            {
                "row": row.id,
                "method": row.method,
                "shots": row.shots,
                "seeds": row.seeds,
                "complete": row.complete,
                "rank": made.rank,
                "not_ranked": made.not_ranked,
                "mean": figures.pop(MEAN, None),
                "mean_over": len(row.domains) if row.complete else None,
                "domains": figures,
                "baseline": None if made.test is None else asdict(made.test),
                "verified": None if made.verified is None else asdict(made.verified),
                "cost": None if made.cost is None else made.cost.model_dump(),
                "no_interval": made.no_interval,
                "failures": [failure.model_dump() for failure in row.failures],
                "pool": row.method_record.pool,
                "discovery": {metric: stat.model_dump() for metric, stat in _discovery(made).items()},
            }
        )
    head = {"shots": table.shots, "metric": table.metric, "domains": table.domains}
    return {**table.setting._asdict(), **head, "rows": rows}
