"""``harness leaderboard show | schema``: rows as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from harness.cli import console
from harness.cli.paired_cells import paired_cells, paired_columns
from harness.cli.print_tables import Form, print_tables
from harness.cli.show_notes import name, notes
from harness.datasets.layout import short_name
from harness.errors import UserError, unknown_name
from harness.files import save
from harness.leaderboard.bootstrap import MEAN
from harness.leaderboard.paper_table import METRICS, paper_table
from harness.leaderboard.published import published_tables
from harness.leaderboard.records import records, to_csv, to_parquet
from harness.leaderboard.schema import json_schema
from harness.leaderboard.statistics import better_sign
from harness.leaderboard.tables import Table, best_places, percent, share
from harness.leaderboard.view import Sources, ViewRow, ViewTable, read_sources, view
from harness.metrics.built_in import BUILT_IN, HEADLINES
from harness.metrics.table import require_metric
from harness.types.leaderboard import Stat

Layout = Literal["ranks", "table2"]

SHORT_ID = 6
"""Digits of a row id on a narrow terminal."""


@dataclass(frozen=True)
class ShowOptions:
    """What ``harness leaderboard show`` shows.

    Attributes:
        metric: its name; None for the main metric of each setting.
        baseline: a method to test the others against.
        cost: adds seconds, memory and trainable parameters.
        methods: only these; () for all.
        shots: only these; () for all.
        domain: rank and test in this domain; None for the mean over domains.
        margin: tests for equivalence with the baseline too, where smaller differences do not matter; in points.
        layout: of LaTeX tables.
    """

    metric: str | None = None
    baseline: str | None = None
    cost: bool = False
    methods: tuple[str, ...] = ()
    shots: tuple[int, ...] = ()
    domain: str | None = None
    margin: float | None = None
    layout: Layout = "ranks"


def show(files: Sequence[Path], options: ShowOptions, wanted: Form) -> int:
    """Run ``harness leaderboard show``."""
    metric, baseline = options.metric, options.baseline
    margin = None if options.margin is None else options.margin / 100
    sources = read_sources(files).select(options.methods, options.shots, baseline)
    if wanted == "csv":
        console.lines(*to_csv(_records(sources, options.domain)).splitlines())
        return 0
    made = view(
        sources, metric or HEADLINES[0], baseline, or_headline=True, place=options.domain or MEAN, margin=margin
    )
    if metric and made and all(table.metric != metric for table in made):
        raise _absent(metric, made)
    if wanted == "json":
        console.document([_table_json(table) for table in made])
        return 0
    if not made:
        console.err().print("these files have no rows", markup=False)
    for table in made:
        if metric and table.metric != metric:
            title = table.names.title(table.shots)
            console.err().print(f"{title} has no {metric}: {table.metric} is shown", style="yellow", markup=False)
    if wanted == "latex" and options.layout == "table2":
        _print_paper_tables(made)
    else:
        _print(made, options, wanted)
    return 0


def _absent(metric: str, made: Sequence[ViewTable]) -> UserError:
    """The error for a metric that no row has."""
    there = {name for table in made for one in table.rows for name in one.row.metrics}
    needs = ", ".join(require_metric(metric).needs)
    problem = f"no row of these files has {metric}, which follows from stored {needs}"
    return UserError(problem, f"rows of an older version can be run again; there are {', '.join(sorted(there))}")


def write_parquet(files: Sequence[Path], options: ShowOptions, out: Path) -> int:
    """Run ``harness leaderboard show --parquet``."""
    sources = read_sources(files).select(options.methods, options.shots)
    content = to_parquet(_records(sources, options.domain))
    save(out, content, "the table", "choose another file with --parquet")
    console.lines(str(out))
    return 0


def schema() -> int:
    """Run ``harness leaderboard schema``."""
    console.document(json_schema())
    return 0


def _records(sources: Sources, domain: str | None) -> list[dict[str, Any]]:
    """A record for every row and domain, with all metrics."""
    found = [record for row in sources.rows for record in records(row)]
    known = {record["domain"] for record in found}
    if domain is not None and domain not in known:
        raise unknown_name("domain in these files", domain, known)
    return [record for record in found if domain in (None, record["domain"])]


def _print_paper_tables(made: Sequence[ViewTable]) -> None:
    """Print the tables whose rows name images, in the layout of the paper."""
    printed = {row.method: row.printed_name for one in published_tables() for row in one.rows}
    for table in made:
        if any(made.row.metrics & METRICS.keys() for made in table.rows):
            console.lines(*paper_table(table, printed).splitlines())
        else:
            console.err().print(f"{table.names.title(table.shots)} has no {', '.join(METRICS)}", markup=False)


def _print(made: Sequence[ViewTable], options: ShowOptions, wanted: Form) -> None:
    """Print tables; as text, a note that several have is printed once."""
    said: set[str] = set()
    for table in made:
        own = [note for note in notes(table, options.baseline, options.margin) if wanted != "text" or note not in said]
        said.update(own)
        wide, width = _wide(table, options, own), console.out().width
        narrow = wanted == "text" and width < wide.width
        print_tables([*_tall(table, width), *_summary(table, options, own, width)] if narrow else [wide], wanted)
        if any(_discovery(one) for one in table.rows):
            print_tables([_pools(table)], wanted)


def _wide(table: ViewTable, options: ShowOptions, notes: Sequence[str]) -> Table:
    """A row for each row, domains side by side."""
    domains = table.domains if table.place == MEAN else ()
    columns = ["rank", "method", *map(short_name, domains), _place(table), *_extra(options), "row"]
    rows = [
        (
            _rank(made),
            name(made, table),
            *(_cell(made, d) for d in domains),
            _value(made, table),
            *_extra_cells(made, options),
            made.row.id,
        )
        for made in table.rows
    ]
    return Table(table.title, columns, rows, 2, notes, _best(table, [*domains, table.place], 2))


def _best(table: ViewTable, places: Sequence[str], before: int) -> set[tuple[int, int]]:
    """The best cell of each column; columns start after ``before`` others."""
    values = [[one.stats[place].mean if place in one.stats else None for one in table.rows] for place in places]
    best, _ = best_places(values, [better_sign(table.metric) > 0] * len(places))
    return {(row, before + column) for row, column in best}


def _tall(table: ViewTable, width: int) -> list[Table]:
    """For a narrow terminal: a line per domain, methods side by side, in as few even parts as fit."""
    if table.place != MEAN:
        return []
    lines = [(short_name(d), *(_cell(made, d) for made in table.rows)) for d in table.domains]
    return Table(table.title, ("domain", *(name(made, table) for made in table.rows)), lines).parts(width)


def _summary(table: ViewTable, options: ShowOptions, notes: Sequence[str], width: int) -> list[Table]:
    """For a narrow terminal: ranks and means, in as few even parts as fit; short row ids address rows, too."""
    columns = ("rank", "method", _place(table), *_extra(options), "row")
    rows = [
        (_rank(made), name(made, table), _value(made, table), *_extra_cells(made, options), made.row.id[:SHORT_ID])
        for made in table.rows
    ]
    title = "" if table.place == MEAN else table.title
    return Table(title, columns, rows, 2, notes, _best(table, [table.place], 2)).parts(width, 2)


def _place(table: ViewTable) -> str:
    return MEAN if table.place == MEAN else short_name(table.place)


def _pools(table: ViewTable) -> Table:
    """What methods discovered in their pools, with the accuracy on test images, the one that counts."""
    shown = ("oop_top1", *_pool_metrics())
    columns = ("method", "pool", *(BUILT_IN[metric].heading for metric in shown))
    rows = []
    for made in table.rows:
        mean = made.row.mean
        if _discovery(made):
            figures = [percent(mean[m].mean) if m in mean else "-" for m in shown]
            rows.append((name(made, table) + _over(made, table), made.row.method_record.pool or "-", *figures))
    note = (
        "OOP: test images that are named rightly. Of the pool: images named rightly, right under the best naming of "
        "the clusters, in a cluster with a name; clusters that have the name of most of their images"
    )
    return Table("discovery", columns, rows, 2, [note])


def _pool_metrics() -> list[str]:
    return [name for name, metric in BUILT_IN.items() if metric.sides == ("pool",)]


def _discovery(made: ViewRow) -> dict[str, Stat]:
    """The means of the metrics of a row's pool."""
    return {metric: made.row.mean[metric] for metric in _pool_metrics() if metric in made.row.mean}


def _extra(options: ShowOptions) -> list[str]:
    return [
        *(paired_columns(options.baseline, options.margin) if options.baseline else []),
        *(["seconds", "host MB", "GPU MB", "learned"] if options.cost else []),
    ]


def _extra_cells(made: ViewRow, options: ShowOptions) -> list[str]:
    cells = paired_cells(made.test, options.margin) if options.baseline else []
    if options.cost and made.cost is None:
        cells += ["-"] * 4
    elif options.cost and made.cost is not None:
        peaks = (made.cost.peak_host_bytes, made.cost.peak_gpu_bytes)
        memory = ["-" if peak is None else f"{peak / 1e6:,.0f}" for peak in peaks]
        cells += [f"{made.cost.wall_seconds:,.1f}", *memory, f"{made.cost.trainable:,}"]
    return cells


def _rank(made: ViewRow) -> str:
    return "-" if made.rank is None else str(made.rank)


def _cell(made: ViewRow, domain: str) -> str:
    holes = sorted({failure.kind for failure in made.row.failures if failure.domain == domain})
    if holes:
        return {"not applicable": "n/a"}.get(holes[0], holes[0])
    return percent(made.stats[domain].mean) if domain in made.stats else "-"


def _value(made: ViewRow, table: ViewTable) -> str:
    """The figure that ranks a row, with its interval."""
    place = table.place
    if place not in made.stats:
        return ("-" if made.row.complete else "incomplete") if place == MEAN else _cell(made, place)
    found = made.intervals.get(place)
    within = f" [{percent(found.low)}, {percent(found.high)}]" if found else ""
    return f"{percent(made.stats[place].mean)}{within}{_over(made, table) if place == MEAN else ''}"


def _over(made: ViewRow, table: ViewTable) -> str:
    return share(len(made.row.domains), len(table.domains))


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
    head = {"shots": table.shots, "metric": table.metric, "domains": table.domains, "ranked_by": table.place}
    return {**table.setting._asdict(), **head, "rows": rows}
