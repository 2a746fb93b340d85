"""Rows as people want to see them: in tables of one setting, with intervals, ranks, tests, costs and marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError, unknown_name
from harness.leaderboard.bootstrap import MEAN, Bootstrap, BootstrapDraws
from harness.leaderboard.statistics import Interval, PairedTest, field, intervals, other_images, paired_tests, ranks
from harness.leaderboard.titles import Names, RowSetting, by_setting, by_shots, unique_titles
from harness.results.artifacts import Artifacts, open_file
from harness.results.costs import RowCost
from harness.results.verification_marks import Against, read_marks
from harness.types.cell import METRICS
from harness.types.leaderboard import Row, Stat


@dataclass(frozen=True)
class ViewRow:
    """A row with what was worked out for one metric.

    Attributes:
        row: as it stands in the file.
        stats: domain or ``mean`` -> mean and spread over seeds; a hole has none.
        intervals: domain or ``mean`` -> 95 % interval; only where predictions are kept.
        rank: one more than the rows of the table that are surely better; only of ``statistics.field``.
        aside: why a row that has a mean is not ranked, None if it is.
        test: against the baseline, if one was asked for.
        verified: what the row was verified against, None if it was not.
        cost: None where it is not known.
        lacking: why there is no interval, None if there is.
    """

    row: Row
    stats: dict[str, Stat]
    intervals: dict[str, Interval]
    rank: int | None
    aside: str | None
    test: PairedTest | None
    verified: Against | None
    cost: RowCost | None
    lacking: str | None


@dataclass(frozen=True)
class ViewTable:
    """Rows that may stand in one table; ``names`` is what its setting is called beside the others."""

    setting: RowSetting
    names: Names
    shots: int
    metric: str
    domains: tuple[str, ...]
    rows: tuple[ViewRow, ...]

    @property
    def title(self) -> str:
        """The setting in a line."""
        return f"{self.names.title(self.shots)}: {self.metric}"


@dataclass(frozen=True)
class Sources:
    """Rows of several files, each with what lies beside its file."""

    rows: tuple[Row, ...]
    artifacts: tuple[Artifacts, ...]
    costs: dict[str, RowCost]
    marks: dict[str, Against]


def read_sources(files: Iterable[Path]) -> Sources:
    """The rows of some files; a row that stands in several counts once.

    Raises:
        UserError: a file does not exist, or a row stands in two files with different figures.
        DataError: a file is no leaderboard.
    """
    rows: dict[str, tuple[Row, Artifacts]] = {}
    costs: dict[str, RowCost] = {}
    marks: dict[str, Against] = {}
    for file in files:
        board, artifacts = open_file(file)
        folder = file if file.is_dir() else file.parent
        costs, marks = {**artifacts.costs(), **costs}, {**read_marks(folder), **marks}
        for row in board.rows:
            known = rows.setdefault(row.id, (row, artifacts))[0]
            if known != row:
                raise UserError(
                    f"{row.method}@{row.shots} ({row.id}) stands in two files with different figures",
                    "`harness leaderboard diff A B` shows them",
                )
    pairs = list(rows.values())
    return Sources(tuple(row for row, _ in pairs), tuple(artifacts for _, artifacts in pairs), costs, marks)


HEADLINES = ("h_mean", "oop_top1", "oop_cluster_acc", "all_cluster_acc")
"""What a setting is first asked for; without IP folders there is no harmonic mean, without names no accuracy."""


def view(
    sources: Sources,
    metric: str,
    baseline: str | None = None,
    or_headline: bool = False,
    draws: BootstrapDraws | None = None,
) -> list[ViewTable]:
    """The tables of some rows.

    Args:
        sources: the rows.
        metric: one of ``METRICS``.
        baseline: a method that all others are tested against, on the same images.
        or_headline: show a setting that nowhere has the metric by the first of ``HEADLINES`` that it has.
        draws: of the sources' rows, for what is shown; without them they are made.

    Raises:
        UserError: no such metric or baseline.
    """
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    if baseline is not None and all(row.method != baseline for row in sources.rows):
        raise unknown_name("method in these files", baseline, {row.method for row in sources.rows})
    settings = by_setting(sources.rows)
    names = unique_titles(settings)
    shown = {setting: _shown(rows, metric, or_headline) for setting, rows in settings.items()}
    draws = draws or BootstrapDraws(sources.rows, sources.artifacts, set(shown.values()))
    replicates = {one: draws.of(one) for one in set(shown.values())}
    tables = []
    for setting, rows in settings.items():
        for shots, chosen in by_shots(rows):
            made = _rows(chosen, sources, replicates[shown[setting]], baseline)
            domains = tuple(sorted({d for r in chosen for d in (*r.domains, *(f.domain for f in r.failures))}))
            tables.append(ViewTable(setting, names[setting], shots, shown[setting], domains, made))
    return tables


def _shown(rows: Sequence[Row], metric: str, or_headline: bool) -> str:
    """The metric by which a setting is shown."""
    there = {m for row in rows for stats in row.domains.values() for m in stats}
    return next((m for m in (metric, *(HEADLINES if or_headline else ())) if m in there), metric)


def _rows(rows: Sequence[Row], sources: Sources, bootstrap: Bootstrap, baseline: str | None) -> tuple[ViewRow, ...]:
    metric = bootstrap.metric
    baselines = [row for row in rows if row.method == baseline]
    tests = paired_tests(rows, baselines, bootstrap) if baselines else [None] * len(rows)
    drawn = {
        (row.id, place): found
        for row in rows
        for place in (*row.domains, MEAN)
        if (found := bootstrap.of(row, place)) is not None
    }
    within = dict(zip(drawn, intervals(list(drawn.values())), strict=True))
    made, ranked = [], field(rows, metric)
    for row, rank, test in zip(rows, ranks(rows, bootstrap), tests, strict=True):
        places = {**row.domains, MEAN: row.mean}
        stats = {place: values[metric] for place, values in places.items() if metric in values}
        ends = {place: within[row.id, place] for place in stats if (row.id, place) in within}
        mark = sources.marks.get(row.content_sha256)
        cost, lacking = sources.costs.get(row.id), bootstrap.lacking.get(row.id)
        aside = _aside(row, rows[ranked[0]] if ranked else None) if rank is None and MEAN in stats else None
        made.append(ViewRow(row, stats, ends, rank, aside, test, mark, cost, lacking))
    return tuple(sorted(made, key=lambda m: (m.rank or len(rows) + 1, -_mean(m), m.row.method, m.row.id)))


def _aside(row: Row, leader: Row | None) -> str:
    """Why a row is not ranked with the others."""
    if leader is None:
        return "no group of rows on the same domains and images is the largest"
    return other_images(row, leader) or "other images"


def _mean(made: ViewRow) -> float:
    return made.stats[MEAN].mean if MEAN in made.stats else 0.0
