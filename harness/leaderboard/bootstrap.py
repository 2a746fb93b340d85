"""Bootstrap replicates of the metrics of rows: images and seeds are drawn with replacement.

The same images are drawn for every row, because the draw depends on the data's fingerprint alone: so a row's replicates
do not depend on what else is in a table, two rows are always paired, and everything is the same on every machine. Seeds
are drawn within a domain (its few-shot draws are its own), the same for every row with the same seeds. Three seeds say
little about the spread between seeds: intervals are honest about images, and a lower bound about seeds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.leaderboard.bootstrap_draws import bootstrap_measure, drawn_seeds
from harness.leaderboard.bootstrap_linear import LinearBootstrap, Place
from harness.leaderboard.stored_answers import ReadAnswers, read_answers
from harness.metrics.compute import right_answers
from harness.metrics.metric import Metric, Resampling
from harness.metrics.prediction_kinds import PREDICTIONS
from harness.metrics.replicates import Measure, Values
from harness.metrics.table import find_metric
from harness.results.artifacts import Artifacts
from harness.types.leaderboard import Row

BATCH = 64
"""Rows whose replicates are computed at once."""

Replicates = NDArray[np.float64]
"""One value in every replicate: ``(REPLICATES,)``."""

MEAN = "mean"
"""In the place of a domain: the mean over the row's domains."""

RightAnswers = dict[str, dict[int, bytes]]
"""Kind of predictions -> seed -> whether each image was answered rightly: n bits."""


@dataclass(frozen=True)
class Bootstrap:
    """Replicates of one metric.

    Attributes:
        metric: its name.
        missing: row id -> why it has no replicates.
        replicates: (row id, domain or ``mean``) -> the value in every replicate.
    """

    metric: str
    missing: dict[str, str]
    replicates: dict[Place, Replicates]

    def of(self, row: Row, place: str) -> Replicates | None:
        """The replicates of a domain or of the mean; None without predictions or in an incomplete row."""
        return self.replicates.get((row.id, place))


class BootstrapDraws:
    """Replicates of several metrics: predictions are read once, and images drawn once, for all.

    Args:
        rows: of any setting.
        artifacts: predictions and labels of each of them, in the same order.
        metrics: whose replicates will be wanted.
    """

    def __init__(self, rows: Sequence[Row], artifacts: Sequence[Artifacts], metrics: Iterable[str]) -> None:
        self._rows = rows
        self._missing: dict[str, dict[str, str]] = {metric: {} for metric in metrics}
        self._data: dict[tuple[str, tuple[str, ...]], _DomainBootstrap] = {}
        known = {name: metric for name in self._missing if (metric := find_metric(name))}
        drawn = {name: resampled for name, metric in known.items() if (resampled := metric.resampled)}
        self._linear = {name: known[name] for name, resampled in drawn.items() if resampled.derivatives}
        self._resampled = {name: resampled for name, resampled in drawn.items() if not resampled.derivatives}
        self._smooth: dict[tuple[str, tuple[str, ...]], LinearBootstrap] = {}
        for row, found in zip(rows, artifacts, strict=True):
            for domain in row.data:
                self._add(row, domain, found)
        for data in self._data.values():
            data.measure()
        for smooth in self._smooth.values():
            smooth.measure()

    def of(self, name: str) -> Bootstrap:
        """The replicates of one of the metrics; none if it has no resampling, and ``missing`` says so."""
        if name not in self._resampled and name not in self._linear:
            return Bootstrap(name, {row.id: f"no interval is computed for {name}" for row in self._rows}, {})
        made = Bootstrap(name, self._missing[name], {})
        for smooth in self._smooth.values():
            made.replicates.update(smooth.found.get(name, {}))
        for data in self._data.values() if name in self._resampled else ():
            made.replicates.update(data.replicates(name, self._resampled[name]))
        for row in self._rows:
            every = [made.of(row, domain) for domain in row.domains]
            there = [replicates for replicates in every if replicates is not None]
            if name in row.mean and len(there) == len(every):
                made.replicates[row.id, MEAN] = np.mean(there, axis=0)
        return made

    def _add(self, row: Row, domain: str, artifacts: Artifacts) -> None:
        """Read the answers of a row in one domain, for the metrics that it has there."""
        present = row.domains.get(domain, {})
        wanted = {name: resampled for name, resampled in self._resampled.items() if name in present}
        linear = {name: metric for name, metric in self._linear.items() if name in present}
        if not wanted and not linear:
            return
        read = read_answers(row, domain, artifacts)
        if linear:
            self._add_linear(row, domain, linear, read)
        if wanted:
            self._add_resampled(row, domain, wanted, read, artifacts)

    def _add_resampled(
        self, row: Row, domain: str, wanted: Mapping[str, Resampling], read: ReadAnswers, artifacts: Artifacts
    ) -> None:
        """The right answers of metrics that are measured anew in every replicate."""
        data = row.data[domain]
        right, missing = _right_answers(read, {key for resampled in wanted.values() for key in resampled.kinds})
        group = self._data.setdefault(
            (data.fingerprint, data.unreadable), _DomainBootstrap(data.fingerprint, data.unreadable, artifacts)
        )
        for name, resampled in wanted.items():
            why = next((missing[key] for key in resampled.kinds if key in missing), None)
            if why is None:
                group.add((row.id, domain), name, resampled, right)
            else:
                self._missing[name].setdefault(row.id, why)

    def _add_linear(self, row: Row, domain: str, wanted: Mapping[str, Metric], read: ReadAnswers) -> None:
        """The values and derivatives of every seed, for metrics that have derivatives."""
        data = row.data[domain]
        group = self._smooth.setdefault((data.fingerprint, data.unreadable), LinearBootstrap(data.fingerprint))
        usable = list[Metric]()
        for name, metric in wanted.items():
            why = next(filter(None, (stored.why_missing(metric.needs) for stored in read.seeds.values())), read.problem)
            if why is None:
                usable.append(metric)
            else:
                self._missing[name].setdefault(row.id, why)
        group.add((row.id, domain), usable, read.seeds)


def read_right_answers(
    row: Row, domain: str, artifacts: Artifacts, kinds: Collection[str]
) -> tuple[RightAnswers, dict[str, str]]:
    """The right answers of every seed with a result, and why those of a kind are missing or do not fit."""
    return _right_answers(read_answers(row, domain, artifacts), kinds)


def _right_answers(read: ReadAnswers, kinds: Collection[str]) -> tuple[RightAnswers, dict[str, str]]:
    """As ``read_right_answers``."""
    found: RightAnswers = {key: {} for key in kinds}
    missing: dict[str, str] = {}
    for seed, stored in read.seeds.items():
        for key in found.keys() - missing.keys():
            why = stored.why_missing((key, *PREDICTIONS[key].named_with))
            if why:
                missing[key] = why
            else:
                right = right_answers(key, stored.predicted, stored.labels, stored.names)
                found[key][seed] = np.packbits(right).tobytes()
    if read.problem is not None:
        missing = {**dict.fromkeys(kinds, read.problem), **missing}
    return found, missing


@dataclass
class _DomainBootstrap:
    """Replicates of all rows that were scored on the same images of one domain.

    Attributes:
        fingerprint: of the data.
        unreadable: images that are not scored.
        artifacts: of one of the rows, for the labels.
        right: (row id, domain) -> its right answers.
        places: metric -> where it has replicates.
        measures: side and measure -> kinds of predictions that are measured so.
        images: side -> number of images.
        values: side and measure -> right answers -> their value in every replicate.
    """

    fingerprint: str
    unreadable: tuple[str, ...]
    artifacts: Artifacts
    right: dict[Place, RightAnswers] = field(default_factory=dict)
    places: dict[str, list[Place]] = field(default_factory=dict)
    measures: dict[tuple[str, Measure], set[str]] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    values: dict[tuple[str, Measure], dict[bytes, Values]] = field(default_factory=dict)

    def add(self, place: Place, metric: str, resampled: Resampling, right: RightAnswers) -> None:
        """Note that a row has a metric, and its right answers."""
        self.right.setdefault(place, {}).update({key: right[key] for key in resampled.kinds})
        self.places.setdefault(metric, []).append(place)
        for key in resampled.kinds:
            self.measures.setdefault((PREDICTIONS[key].side, resampled.measure), set()).add(key)

    def measure(self) -> None:
        """Compute every measure of all right answers in every replicate."""
        for (side, measure), kinds in self.measures.items():
            label = self.artifacts.labels(self.fingerprint, side, self.unreadable)
            vectors = [
                bits
                for right in self.right.values()
                for k in sorted(kinds & right.keys())
                for bits in right[k].values()
            ]
            self.images[side] = len(label)
            self.values[side, measure] = bootstrap_measure(measure, self.fingerprint, side, label, vectors)

    def replicates(self, metric: str, resampled: Resampling) -> Iterator[tuple[Place, Replicates]]:
        """Each row with its replicates of a metric."""
        kinds, sides = resampled.kinds, [PREDICTIONS[key].side for key in resampled.kinds]
        tables = [self.values.get((side, resampled.measure), {}) for side in sides]
        with_seeds: dict[tuple[int, ...], list[Place]] = {}
        for place in self.places.get(metric, ()):
            with_seeds.setdefault(tuple(sorted(self.right[place][kinds[0]])), []).append(place)
        for seeds, places in with_seeds.items():
            drawn = drawn_seeds(self.fingerprint, seeds)
            for start in range(0, len(places), BATCH):
                part = places[start : start + BATCH]
                values = [
                    np.array([[table[self.right[place][key][s]] for s in seeds] for place in part], dtype=np.float64)
                    for key, table in zip(kinds, tables, strict=True)
                ]
                combined = resampled.combine(values, [self.images[side] for side in sides])
                yield from zip(part, np.einsum("bs,rsb->rb", drawn, combined), strict=True)
