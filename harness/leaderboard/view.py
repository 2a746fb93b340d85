"""Leaderboard rows in tables of one setting, with intervals, ranks, tests, costs and marks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import UserError, unknown_name
from harness.leaderboard.bootstrap import MEAN, Bootstrap, BootstrapDraws
from harness.leaderboard.row_settings import RowSetting, SettingNames, by_setting, by_shots, unique_titles
from harness.leaderboard.statistics import (
    Interval,
    PairedTest,
    better_sign,
    intervals,
    other_images,
    paired_tests,
    ranks,
)
from harness.metrics.built_in import HEADLINES
from harness.metrics.table import require_metric
from harness.results.artifacts import Artifacts, open_file
from harness.results.costs import RowCost
from harness.results.leaderboard_file import select, split_address
from harness.results.verification_marks import Verification, read_marks, strongest
from harness.types.leaderboard import Row, Stat


@dataclass(frozen=True)
class ViewRow:
    """A row with what was computed for one metric.

    Attributes:
        row: as in the file.
        stats: domain or ``mean`` -> mean and spread over seeds, where the row has them.
        intervals: domain or ``mean`` -> 95 % interval; only where predictions are stored.
        rank: one more than the rows of the table that are surely better; only of ``statistics.rows_to_rank``.
        not_ranked: why a row that has a mean is not ranked, None if it is.
        test: against the baseline, if one was given.
        verified: by whom, when and against what the row was verified, None if it was not.
        cost: None where it is not known.
        no_interval: why there is no interval, None if there is.
    """

    row: Row
    stats: dict[str, Stat]
    intervals: dict[str, Interval]
    rank: int | None
    not_ranked: str | None
    test: PairedTest | None
    verified: Verification | None
    cost: RowCost | None
    no_interval: str | None


@dataclass(frozen=True)
class ViewTable:
    """Rows that can be compared.

    Attributes:
        setting: what they share.
        names: its title among the others.
        shots: images per class; 0 if no row has any.
        metric: its name.
        domains: of all rows.
        rows: by rank.
        place: what ranks and tests are of: ``mean``, or a domain.
    """

    setting: RowSetting
    names: SettingNames
    shots: int
    metric: str
    domains: tuple[str, ...]
    rows: tuple[ViewRow, ...]
    place: str = MEAN

    @property
    def title(self) -> str:
        """The setting in a line."""
        return f"{self.names.title(self.shots)}: {self.metric}"


@dataclass(frozen=True)
class Sources:
    """Rows of several files, with their artifacts, costs and verification marks."""

    rows: tuple[Row, ...]
    artifacts: tuple[Artifacts, ...]
    costs: dict[str, RowCost]
    marks: dict[str, Verification]

    def select(self, methods: Collection[str], shots: Collection[int], also: str | None = None) -> Sources:
        """The rows of some methods and numbers of shots; empty for any. Rows without few-shot images are of any.

        ``also`` is a method that is added where some are named.

        Raises:
            UserError: no row has such a method, or such a number of shots.
        """
        wanted = {*methods, *([also] if methods and also else [])}
        for method in sorted(wanted):
            self.require_method(method)
        there = sorted({row.shots for row in self.rows if row.shots})
        if shots and not {*shots} & {*there}:
            asked, found = ", ".join(map(str, shots)), ", ".join(map(str, there))
            raise UserError(f"no row has {asked} shots", f"there are {found or 'none'}")
        chosen = [
            (row, artifacts)
            for row, artifacts in zip(self.rows, self.artifacts, strict=True)
            if (not wanted or row.method in wanted) and (not shots or row.shots in (0, *shots))
        ]
        rows, artifacts = zip(*chosen, strict=True) if chosen else ((), ())
        return replace(self, rows=rows, artifacts=artifacts)

    def require_method(self, method: str) -> None:
        """Check that a row is of a method.

        Raises:
            UserError: none is.
        """
        known = {row.method for row in self.rows}
        if method not in known:
            raise unknown_name("method in these files", method, known)


def read_sources(files: Iterable[Path]) -> Sources:
    """The rows of some files, or of addresses ``FILE#ROW``; a row that several files hold counts once.

    Raises:
        UserError: a file or row does not exist, an address has several rows, or a row has different values in two
            files.
        DataError: a file is not a leaderboard.
    """
    rows: dict[str, tuple[Row, Artifacts]] = {}
    costs: dict[str, RowCost] = {}
    marks: dict[str, Verification] = {}
    for file in files:
        path, wanted = split_address(str(file))
        board, artifacts = open_file(path)
        folder = path if path.is_dir() else path.parent
        costs, marks = {**artifacts.costs(), **costs}, strongest(marks, read_marks(folder))
        for row in [select(board.rows, wanted, str(path))] if wanted else board.rows:
            known = rows.setdefault(row.id, (row, artifacts))[0]
            if known != row:
                raise UserError(
                    f"{row.title} has different values in two files",
                    "`harness leaderboard diff A B` shows them",
                )
    pairs = list(rows.values())
    return Sources(tuple(row for row, _ in pairs), tuple(artifacts for _, artifacts in pairs), costs, marks)


def view(
    sources: Sources,
    metric: str,
    baseline: str | None = None,
    or_headline: bool = False,
    draws: BootstrapDraws | None = None,
    place: str = MEAN,
    margin: float | None = None,
) -> list[ViewTable]:
    """The tables of some rows.

    Args:
        sources: the rows.
        metric: its name in the table of metrics.
        baseline: a method that all others are tested against, on the same images.
        or_headline: show a setting without the metric by the first of ``HEADLINES`` that it has.
        draws: of the sources' rows, for the metrics that are shown; made if they are not given.
        place: what ranks and tests are of: the mean over domains, or one domain.
        margin: tests for equivalence with the baseline too, where smaller differences do not matter; a fraction.

    Raises:
        UserError: no such metric, baseline or domain.
        PluginError: the plugin that offers the metric is broken.
    """
    require_metric(metric)
    if baseline is not None:
        sources.require_method(baseline)
    domains_known = {domain for row in sources.rows for domain in row.data}
    if place not in (MEAN, *domains_known):
        raise unknown_name("domain in these files", place, domains_known)
    settings = by_setting(sources.rows)
    names = unique_titles(settings)
    shown = {setting: _shown(rows, metric, or_headline) for setting, rows in settings.items()}
    draws = draws or BootstrapDraws(sources.rows, sources.artifacts, set(shown.values()))
    replicates = {one: draws.of(one) for one in set(shown.values())}
    tables = []
    for setting, rows in settings.items():
        for shots, chosen in by_shots(rows):
            made = _rows(chosen, sources, replicates[shown[setting]], baseline, place, margin)
            domains = tuple(sorted({d for r in chosen for d in (*r.domains, *(f.domain for f in r.failures))}))
            tables.append(ViewTable(setting, names[setting], shots, shown[setting], domains, made, place))
    return tables


def _shown(rows: Sequence[Row], metric: str, or_headline: bool) -> str:
    """The metric by which a setting is shown."""
    there = {metric for row in rows for metric in row.metrics}
    return next((m for m in (metric, *(HEADLINES if or_headline else ())) if m in there), metric)


def _rows(
    rows: Sequence[Row],
    sources: Sources,
    bootstrap: Bootstrap,
    baseline: str | None,
    place: str,
    margin: float | None,
) -> tuple[ViewRow, ...]:
    baselines = [row for row in rows if row.method == baseline]
    tests = paired_tests(rows, baselines, bootstrap, place, margin) if baselines else [None] * len(rows)
    ranked, within = ranks(rows, bootstrap, place), _intervals(rows, bootstrap)
    leader = next((row for row, rank in zip(rows, ranked, strict=True) if rank is not None), None)
    made = []
    for row, rank, test in zip(rows, ranked, tests, strict=True):
        stats = {
            where: values[bootstrap.metric]
            for where, values in {**row.domains, MEAN: row.mean}.items()
            if bootstrap.metric in values
        }
        made.append(
            ViewRow(
                row,
                stats,
                intervals={where: within[row.id, where] for where in stats if (row.id, where) in within},
                rank=rank,
                not_ranked=_not_ranked(row, leader) if rank is None and place in stats else None,
                test=test,
                verified=sources.marks.get(row.content_sha256),
                cost=sources.costs.get(row.id),
                no_interval=bootstrap.missing.get(row.id),
            )
        )
    sign = better_sign(bootstrap.metric)
    return tuple(
        sorted(made, key=lambda m: (m.rank or len(rows) + 1, -sign * _value(m, place), m.row.method, m.row.id))
    )


def _intervals(rows: Sequence[Row], bootstrap: Bootstrap) -> dict[tuple[str, str], Interval]:
    """(row id, domain or ``mean``) -> 95 % interval, where there are replicates."""
    drawn = {
        (row.id, place): found
        for row in rows
        for place in (*row.domains, MEAN)
        if (found := bootstrap.of(row, place)) is not None
    }
    return dict(zip(drawn, intervals(list(drawn.values())), strict=True))


def _not_ranked(row: Row, leader: Row | None) -> str:
    """Why a row is not ranked with the others."""
    if leader is None:
        return "no group of rows on the same domains and images is the largest"
    return other_images(row, leader) or "other images"


def _value(made: ViewRow, place: str) -> float:
    return made.stats[place].mean if place in made.stats else 0.0
