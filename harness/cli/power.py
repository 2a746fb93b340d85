"""``harness leaderboard power``: what size of comparison distinguishes a given difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.cli import console
from harness.cli.paired_cells import paired_cells, paired_columns, paired_notes, points
from harness.cli.print_tables import Form, print_tables
from harness.errors import UserError
from harness.leaderboard.bootstrap import BootstrapDraws
from harness.leaderboard.power import MOST, POWER, DifferenceSpread
from harness.leaderboard.power_table import PowerRow, power_rows, require_mean
from harness.leaderboard.row_settings import by_setting, by_shots, unique_titles
from harness.leaderboard.series import row_labels
from harness.leaderboard.statistics import better_sign, rows_to_rank
from harness.leaderboard.tables import Table, percent
from harness.leaderboard.view import Sources, read_sources
from harness.progress import pluralize
from harness.types.leaderboard import Row


@dataclass(frozen=True)
class PowerOptions:
    """What ``harness leaderboard power`` shows.

    Attributes:
        metric: its name.
        baseline: a method to compare the others with; None for the best row of each table.
        points: the difference to distinguish, in points; also the margin of equivalence.
        methods: only these; () for all.
        shots: only these; () for all.
    """

    metric: str
    baseline: str | None
    points: float
    methods: tuple[str, ...] = ()
    shots: tuple[int, ...] = ()


@dataclass(frozen=True)
class _PowerTable:
    title: str
    baseline: str
    labels: dict[str, str]
    rows: list[PowerRow]


def show_power(files: Sequence[Path], options: PowerOptions, wanted: Form) -> int:
    """Run ``harness leaderboard power``.

    Raises:
        UserError: no row has the metric, there is no such baseline, or the power for the metric is not known.
    """
    require_mean(options.metric)
    sources = read_sources(files).select(options.methods, options.shots, options.baseline)
    if options.baseline is not None:
        sources.require_method(options.baseline)
    tables = list(_tables(sources, options))
    if not tables:
        raise UserError(
            f"no two rows of one setting have {options.metric}", "run `harness evaluate` with two methods first"
        )
    if wanted == "json":
        console.document([_document(table, options) for table in tables])
        return 0
    for table in tables:
        shown = _table(table, options)
        print_tables(shown.parts(console.out().width) if wanted == "text" else [shown], wanted)
    return 0


def _tables(sources: Sources, options: PowerOptions) -> Iterator[_PowerTable]:
    """A table for each setting and number of shots, the best rows first."""
    artifacts = {row.id: own for row, own in zip(sources.rows, sources.artifacts, strict=True)}
    bootstrap = BootstrapDraws(sources.rows, sources.artifacts, [options.metric]).of(options.metric)
    settings = by_setting(sources.rows)
    names = unique_titles(settings)
    for setting, rows in settings.items():
        for shots, chosen in by_shots(rows):
            ordered = _best_first(chosen, options.metric)
            baseline = next((row for row in ordered if options.baseline in (None, row.method)), None)
            if baseline is not None and len(ordered) > 1:
                labels = row_labels(ordered)
                found = power_rows(ordered, baseline, artifacts, bootstrap, options.points / 100)
                title = f"{names[setting].title(shots)}: {options.metric}"
                yield _PowerTable(title, labels[baseline.id], labels, found)


def _best_first(rows: Sequence[Row], metric: str) -> list[Row]:
    """The rows that can be ranked, by their mean."""
    sign = better_sign(metric)
    return sorted((rows[i] for i in rows_to_rank(rows, metric)), key=lambda row: -sign * row.mean[metric].mean)


def _table(table: _PowerTable, options: PowerOptions) -> Table:
    columns = ("method", *paired_columns(table.baseline, options.points), "finds", "seeds", "images", "domains")
    rows = [
        (table.labels[one.row.id], *paired_cells(one.test, options.points, interval=False), *_sizes(one))
        for one in table.rows
    ]
    return Table(f"{table.title} against {table.baseline}", columns, rows, 1, list(_notes(table, options)))


def _sizes(one: PowerRow) -> list[str]:
    if one.detects is None:
        return ["-"] * 4
    return [percent(one.detects, 2), *("-" if n is None else f"{n:,}" for n in (one.seeds, one.images, one.domains))]


def _notes(table: _PowerTable, options: PowerOptions) -> Iterator[str]:
    """What the figures are, and why some are missing."""
    asked = points(options.points)
    yield "Δ and finds: points"
    yield from paired_notes(table.baseline, options.points)
    yield f"finds: smallest difference that this test and a paired t-test find at 5 % with power {POWER:g} each"
    yield f"seeds, images, domains: how many find {asked}, the others as measured; images are those of a domain, and"
    yield f"domains drawn from more such domains; -: no number up to {MOST:,} does, or the methods have no seeds"
    for design in dict.fromkeys(one.spread.design for one in table.rows if one.spread):
        seeds, images, domains = (pluralize(n, what) for n, what in zip(design, design._fields, strict=True))
        yield f"measured: {seeds}, {images} a domain, {domains}"
    for reason in dict.fromkeys(one.reason for one in table.rows if one.reason):
        names = ", ".join(table.labels[one.row.id] for one in table.rows if one.reason == reason)
        yield f"not known for {names}: {reason}"


def _document(table: _PowerTable, options: PowerOptions) -> dict[str, Any]:
    return {
        "table": table.title,
        "baseline": table.baseline,
        "metric": options.metric,
        "difference": options.points / 100,
        "power": POWER,
        "rows": [
            {
                "row": one.row.id,
                "method": one.row.method,
                "shots": one.row.shots,
                "test": asdict(one.test),
                "measured": one.spread and one.spread.design._asdict(),
                "variance": one.spread and _components(one.spread),
                "detects": one.detects,
                "needed": {"seeds": one.seeds, "images": one.images, "domains": one.domains},
                "reason": one.reason,
            }
            for one in table.rows
        ],
    }


def _components(found: DifferenceSpread) -> dict[str, float | None]:
    """Components of the variance of the difference in one domain with one seed and all images, and its total."""
    return {
        "seeds": found.seeds,
        "images": found.images,
        "rest": found.rest,
        "domains": found.domains,
        "of_mean": found.variance(found.design),
    }
