"""Rows of a run or of a leaderboard file, for Python: records, predictions, and a table that a notebook shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, get_args, overload

import numpy as np

from harness.api import arguments
from harness.api.predictions import Predictions, frame
from harness.errors import DataError, UserError, unknown_name
from harness.leaderboard.data_warnings import data_warnings
from harness.leaderboard.records import records
from harness.leaderboard.row_settings import by_setting, unique_titles
from harness.leaderboard.series import row_labels
from harness.leaderboard.tables import Table, best_places, percent
from harness.leaderboard.view import Sources
from harness.metrics.metric import Metric
from harness.metrics.table import summary_metrics
from harness.plots.frequency import plot_frequency
from harness.plots.select_rows import method_rows, one_setting, shots_rows, with_reference
from harness.plots.shots import intervals_of, plot_shots
from harness.plots.style import Fit
from harness.plots.zero_shot import plot_zero_shot
from harness.progress import pluralize
from harness.results.artifacts import Artifacts, MissingArtifact, open_file
from harness.types.leaderboard import Leaderboard, Row

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

LINES = 20
"""Rows of a table that are shown; the data frame has all."""

Scored = Literal["oop", "ip", "joint_oop", "joint_ip"]
"""Whose images are scored, ``oop`` or ``ip``: among the names of their own side, or of both sides (``joint_``)."""


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """Rows of a run or of a leaderboard file. Shown as a table; a sequence of ``rows``.

    Attributes:
        leaderboard: all that is recorded of every row: figures, provenance, failures.
        artifacts: reads labels and predictions.
        file: the leaderboard file.
    """

    leaderboard: Leaderboard
    artifacts: Artifacts
    file: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A plain record for every row and domain.

        Metrics are fractions, means over seeds; ``<metric>_std`` is their standard deviation. ``failure`` says why a
        domain is missing or incomplete, and is None otherwise.
        """
        return [record for row in self.leaderboard.rows for record in records(row)]

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a data frame."""
        return frame(self.rows)

    def plot_shots(
        self,
        metric: str = "oop_top1",
        methods: str | Iterable[str] = (),
        *,
        protocol: str | None = None,
        dataset: str | None = None,
        backbone: str | None = None,
        size: Fit = "page",
        title: str | None = None,
    ) -> Figure:
        """Accuracy against shots: the average and a panel for every domain. A notebook shows the figure.

        Args:
            metric: its name.
            methods: only these, and zero_shot for reference; all if there are none.
            protocol: of the rows, if there are several; the same for the next two.
            dataset: its name.
            backbone: its name.
            size: ``column`` or ``page``: the width.
            title: above the figure; None for none.

        Raises:
            UserError: there are no such rows, or of several settings.
        """
        sources = with_reference(self._sources, arguments.texts("methods", methods))
        rows = shots_rows(sources.rows, metric, protocol, dataset, backbone)
        return plot_shots(rows, metric, intervals_of(sources, metric), (), size, title)

    def plot_zero_shot(self, method: str = "zero_shot", *, size: Fit = "page", title: str | None = None) -> Figure:
        """Accuracy of a method without few-shot images on IP and OOP names, bars for every domain; see ``plot_shots``.

        Raises:
            UserError: there is no row of the method.
        """
        return plot_zero_shot(method_rows(self.leaderboard.rows, method), (), size, title)

    def plot_frequency(
        self,
        methods: str | Iterable[str] = (),
        *,
        protocol: str | None = None,
        dataset: str | None = None,
        backbone: str | None = None,
        size: Fit = "page",
        title: str | None = None,
    ) -> Figure:
        """Accuracy of every concept against the captions of the corpus that mention it; see ``plot_shots``.

        Raises:
            UserError: the rows have no counts, or are of several settings.
        """
        sources = with_reference(self._sources, arguments.texts("methods", methods))
        return plot_frequency(one_setting(sources.rows, protocol, dataset, backbone), size, title)

    @property
    def _sources(self) -> Sources:
        return Sources(self.leaderboard.rows, (self.artifacts,) * len(self.leaderboard.rows), {}, {})

    def predictions(
        self,
        method: str | None = None,
        domain: str | None = None,
        seed: int | None = None,
        shots: int | None = None,
        images: Scored = "oop",
    ) -> Predictions:
        """The predictions of one cell; what there is only one of may be left out.

        Args:
            method: name, or the id of a row.
            domain: name.
            seed: of the draw; not asked of a method that is run once for all seeds.
            shots: images per class of the draw.
            images: which of its predictions.

        Raises:
            UserError: there is no such cell, or several.
            DataError: its predictions or labels are not stored with the leaderboard.
        """
        if images not in get_args(Scored):
            raise unknown_name("kind of images", str(images), get_args(Scored))
        row = self._row(method, shots)
        domain = _one("domain", domain, list(row.data))
        data = row.data[domain]
        seeds = {int(key): digest for key, digest in data.predictions.items()}
        digest = seeds[_one("seed", None if row.seedless else seed, list(seeds))]
        if digest is None:
            reason = next((failure.reason for failure in row.failures if failure.domain == domain), None)
            raise UserError(f"{row.method} has no predictions for {domain} with this seed", reason)
        try:
            found = self.artifacts.predictions(digest)
            sheet = self.artifacts.sheet(data.fingerprint)
        except MissingArtifact as error:
            raise DataError(
                f"the predictions cannot be read: {error}", "they are in the results folder of the run"
            ) from None
        if images not in found:
            raise UserError(f"{row.method} has no predictions {images!r}", f"it has {', '.join(found)}")
        side = images.removeprefix("joint_")
        joint = images != side
        scored, order = sheet.sides[side], sheet.sides[side].order(frozenset(data.unreadable))
        names = sum((sheet.sides[one].names for one in ("oop", "ip")), ()) if joint else scored.names
        before = len(sheet.sides["oop"].names) if images == "joint_ip" else 0
        label = np.array([scored.labels[i] + before for i in order], dtype=np.int64)
        return Predictions(tuple(f"{scored.folder}/{scored.paths[i]}" for i in order), names, found[images], label)

    def _row(self, method: str | None, shots: int | None) -> Row:
        rows = self.leaderboard.rows
        found = [
            row
            for row in rows
            if method in (None, row.method, row.id) and (shots is None or row.seedless or row.shots in (0, shots))
        ]
        if len(found) == 1:
            return found[0]
        what = ", ".join(f"{row.method} with {pluralize(row.shots, 'shots')} ({row.id})" for row in found or rows)
        raise UserError("there are several such rows" if found else f"there is no row of {method!r}", f"rows: {what}")

    @overload
    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self.rows[index]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return "\n\n".join(table.text() for table in _tables(self.leaderboard)) or "no rows"

    def _repr_html_(self) -> str:
        return "".join(table.html() for table in _tables(self.leaderboard)) or "<p>no rows</p>"


def load_leaderboard(path: str | Path) -> Results:
    """The rows of a results folder, leaderboard file or submission, with predictions where they are stored.

    Raises:
        UserError: there is no such file.
        DataError: it is not a leaderboard.
    """
    file = arguments.path("path", path)
    return Results(*open_file(file), file)


def _one(what: str, wanted: Any, known: list[Any]) -> Any:
    """The wanted one, or the only one."""
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted is None or wanted not in known:
        said = f"there are several {what}s" if wanted is None else f"there is no {what} {wanted!r}"
        raise UserError(said, f"give {what}=, one of {', '.join(map(str, known)) or 'none'}")
    return wanted


def _tables(board: Leaderboard) -> Iterator[Table]:
    """A table for every setting: means over its domains. Methods are named with what differs among their rows."""
    settings = by_setting(board.rows)
    labels = row_labels(board.rows)
    names = unique_titles(settings)
    for setting, rows in settings.items():
        metrics = summary_metrics(metric for row in rows for metric in row.metrics)
        ordered = sorted(rows, key=lambda row: (row.shots, labels[row.id], row.id))
        lines = [
            (labels[row.id], str(row.shots or "-"), *_figures(row, [metric.name for metric in metrics]))
            for row in ordered[:LINES]
        ]
        yield Table(
            names[setting].title(0),
            ("method", "shots", *(metric.heading for metric in metrics)),
            lines,
            1,
            _notes(ordered),
            _best(ordered[:LINES], metrics, 2),
        )


def _best(rows: Sequence[Row], metrics: Sequence[Metric], before: int) -> set[tuple[int, int]]:
    """The best cell of each metric's column, ``before`` columns from the left; none among rows that differ in shots."""
    alike = len({row.shots for row in rows if row.shots}) < 2 and len({frozenset(row.domains) for row in rows}) == 1
    values = [[row.mean[metric.name].mean if metric.name in row.mean else None for row in rows] for metric in metrics]
    best, _ = best_places(values, [metric.higher_is_better for metric in metrics])
    return {(row, before + column) for row, column in best} if alike else set()


def _figures(row: Row, metrics: list[str]) -> list[str]:
    return [percent(row.mean[metric].mean) if metric in row.mean else "-" for metric in metrics]


def _notes(rows: list[Row]) -> list[str]:
    domains = dict.fromkeys(domain for row in rows for domain in row.domains)
    notes = [f"percent; mean over seeds and domains ({', '.join(domains)})"]
    notes += [f"and {len(rows) - LINES} more rows"] if len(rows) > LINES else []
    failures = [f"{row.method}, {f.domain}: {f.kind}: {f.reason}" for row in rows for f in row.failures]
    failures = list(dict.fromkeys(failures))
    notes += failures[:LINES]
    notes += [f"and {len(failures) - LINES} more failures"] if len(failures) > LINES else []
    return [*notes, *data_warnings(rows)[:LINES]]
