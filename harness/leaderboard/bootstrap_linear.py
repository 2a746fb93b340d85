"""Bootstrap replicates of metrics with derivatives: each image adds its derivative as often as it is drawn.

Derivatives are rounded to whole numbers of a small unit, so that sums of them are exact and depend on no order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.leaderboard.bootstrap_draws import REPLICATES, bootstrap_counts, drawn_seeds
from harness.leaderboard.stored_answers import StoredAnswers
from harness.metrics.compute import answers_of
from harness.metrics.derivative import Differentiated, Reals
from harness.metrics.metric import Metric

DIGITS = 24
"""Binary digits of a rounded derivative: sums over up to 2^29 drawn images are exact in 53."""

COLUMNS = 2048
"""Derivatives that share one product, about: images are drawn anew for each product."""

Place = tuple[str, str]
"""Row id and domain."""

Key = tuple[str, ...]
"""Of a column: the name of a metric, and the digests of the predictions that it needs."""


class _Column(NamedTuple):
    """The value of a metric for one cell, and of each side of it the rounded derivatives ``(n,)`` and their unit."""

    value: float
    derivatives: list[tuple[NDArray[np.int32], float]]


class _Wanted(NamedTuple):
    """A metric and a place whose replicates are wanted, and the column of each seed."""

    metric: str
    place: Place
    seeds: dict[int, Key]


@dataclass
class LinearBootstrap:
    """Replicates of all rows that were scored on the same images of one domain; equal predictions are measured once.

    Attributes:
        fingerprint: of the data; with the side it decides the draw.
        columns: those that were computed; None where a metric is not defined.
        wanted: sides of a metric -> what is wanted of metrics of these sides.
        found: metric -> place -> replicates over images and seeds ``(REPLICATES,)``; filled by ``measure``.
    """

    fingerprint: str
    columns: dict[Key, _Column | None] = field(default_factory=dict)
    wanted: dict[tuple[str, ...], list[_Wanted]] = field(default_factory=dict)
    found: dict[str, dict[Place, Reals]] = field(default_factory=dict)

    def add(self, place: Place, metrics: Sequence[Metric], seeds: Mapping[int, StoredAnswers]) -> None:
        """Note the values of metrics for one place, with their derivatives, from the answers of each seed."""
        needed = {key for metric in metrics for key in metric.needs}
        digests = {seed: _digests(stored, needed) for seed, stored in seeds.items()}
        for metric in metrics:
            keys = {seed: (metric.name, *(digests[seed][key] for key in metric.needs)) for seed in seeds}
            for seed, key in keys.items():
                if key not in self.columns:
                    self.columns[key] = _column(metric, seeds[seed])
            defined = {seed: key for seed, key in keys.items() if self.columns[key] is not None}
            if defined:
                self.wanted.setdefault(metric.sides, []).append(_Wanted(metric.name, place, defined))

    def measure(self) -> None:
        """Compute all replicates; images are drawn once for many columns."""
        for sides, wanted in self.wanted.items():
            for batch in _batches(wanted):
                row = {key: i for i, key in enumerate(dict.fromkeys(k for one in batch for k in one.seeds.values()))}
                drawn = self._drawn(sides, [column for key in row if (column := self.columns[key]) is not None])
                for name, place, keys in batch:
                    seeds = tuple(sorted(keys))
                    weights = drawn_seeds(self.fingerprint, seeds)
                    of_seeds = drawn[[row[keys[seed]] for seed in seeds]]
                    self.found.setdefault(name, {})[place] = (of_seeds * weights.T).sum(axis=0)
        self.columns.clear()
        self.wanted.clear()

    def _drawn(self, sides: Sequence[str], columns: Sequence[_Column]) -> Reals:
        """The value of each column in every replicate ``(columns, REPLICATES)``."""
        of_sides = []
        for number, side in enumerate(sides):
            derivatives, units = zip(*(column.derivatives[number] for column in columns), strict=True)
            sums = self._sums(side, np.stack(derivatives).astype(np.float64))
            sums *= np.array(units)[:, None]
            of_sides.append(sums)
        values: Reals = reduce(np.add, of_sides)
        values += np.array([column.value for column in columns])[:, None]
        return values

    def _sums(self, side: str, derivatives: Reals) -> Reals:
        """What each replicate adds to the sum over all images of derivatives ``(k, n)``: ``(k, REPLICATES)``."""
        sums, start = np.empty((len(derivatives), REPLICATES)), 0
        for drawn in bootstrap_counts(self.fingerprint, side, derivatives.shape[1]):
            np.matmul(derivatives, drawn.T - 1.0, out=sums[:, start : start + len(drawn)])
            start += len(drawn)
        return sums


def _batches(wanted: Iterable[_Wanted]) -> Iterator[list[_Wanted]]:
    """Parts of about ``COLUMNS`` columns."""
    batch, size = list[_Wanted](), 0
    for one in wanted:
        batch.append(one)
        size += len(one.seeds)
        if size >= COLUMNS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _digests(stored: StoredAnswers, kinds: Iterable[str]) -> dict[str, str]:
    """Kind -> the digest of its predictions."""
    return {key: hashlib.sha256(stored.predicted[key].tobytes()).hexdigest() for key in kinds}


def _column(metric: Metric, stored: StoredAnswers) -> _Column | None:
    """A metric with its rounded derivatives, of stored predictions; None if it is not defined."""
    resampling = metric.resampling
    assert resampling is not None
    assert resampling.derivatives is not None
    answers = (answers_of(key, stored.predicted, stored.labels, stored.names) for key in metric.needs)
    found: Differentiated | None = resampling.derivatives(*answers)
    if found is None:
        return None
    return _Column(found.value, [_rounded(one) for _, one in zip(metric.sides, found.derivatives, strict=True)])


def _rounded(derivative: Reals) -> tuple[NDArray[np.int32], float]:
    unit = float(np.abs(derivative).max(initial=0.0)) / 2 ** (DIGITS - 1)
    if not unit:
        return np.zeros(len(derivative), dtype=np.int32), 0.0
    return np.rint(derivative / unit).astype(np.int32), unit
