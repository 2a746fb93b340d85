"""Bootstrap replicates of metrics with derivatives: each image adds its derivative as often as it is drawn.

Derivatives are rounded to whole numbers of a small unit, so that sums of them are exact and depend on no order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.leaderboard.bootstrap_draws import CHUNK, COLUMNS, REPLICATES, bootstrap_counts, drawn_seeds
from harness.metrics.compute import Vectors, answers_of
from harness.metrics.derivative import Differentiated
from harness.metrics.metric import Metric

DIGITS = 24
"""Binary digits of a rounded derivative: sums over up to 2^29 drawn images are exact in 53."""

Entry = tuple[str, tuple[str, str], int]
"""Metric, place (row id and domain) and seed."""


@dataclass
class LinearBootstrap:
    """Replicates of all rows that were scored on the same images of one domain.

    Attributes:
        fingerprint: of the data; with the side it decides the draw.
        values: of each metric, place and seed.
        derivatives: side -> the same -> rounded derivatives ``(n,)`` and their unit.
        sums: the same -> what the draws add to the value ``(REPLICATES,)``; filled by ``measure``.
    """

    fingerprint: str
    values: dict[Entry, float] = field(default_factory=dict)
    derivatives: dict[str, dict[Entry, tuple[NDArray[np.int32], float]]] = field(default_factory=dict)
    sums: dict[Entry, NDArray[np.float64]] = field(default_factory=dict)

    def add(self, entry: Entry, metric: Metric, found: Differentiated) -> None:
        """Note the value of a metric for one place and seed, with its derivatives."""
        self.values[entry] = found.value
        self.sums[entry] = np.zeros(REPLICATES)
        for side, derivative in zip(metric.sides, found.derivatives, strict=True):
            self.derivatives.setdefault(side, {})[entry] = _rounded(derivative)

    def measure(self) -> None:
        """Compute all sums; images are drawn once for many of them."""
        for side, found in self.derivatives.items():
            entries, n = list(found), len(next(iter(found.values()))[0])
            size = max(COLUMNS, CHUNK // n)
            for start in range(0, len(entries), size):
                part = entries[start : start + size]
                stacked = np.stack([found[entry][0] for entry in part], axis=1).astype(np.float64)
                drawn = np.concatenate([counts @ stacked for counts in bootstrap_counts(self.fingerprint, side, n)])
                for entry, total, once in zip(part, drawn.T, stacked.sum(axis=0), strict=True):
                    self.sums[entry] += (total - once) * found[entry][1]
        self.derivatives.clear()

    def replicates(self, name: str) -> dict[tuple[str, str], NDArray[np.float64]]:
        """Row id and domain -> the replicates of a metric, over images and seeds."""
        places: dict[tuple[str, str], list[int]] = {}
        for metric, place, seed in self.values:
            if metric == name:
                places.setdefault(place, []).append(seed)
        return {place: self._of(name, place, sorted(seeds)) for place, seeds in places.items()}

    def _of(self, name: str, place: tuple[str, str], seeds: list[int]) -> NDArray[np.float64]:
        entries = [(name, place, seed) for seed in seeds]
        values = np.stack([self.values[entry] + self.sums[entry] for entry in entries], axis=1)
        return np.asarray((values * drawn_seeds(self.fingerprint, seeds)).sum(axis=1))


def differentiate(
    metric: Metric, predicted: Vectors, labels: Vectors, names: Mapping[str, int]
) -> Differentiated | None:
    """A metric with its derivatives, of stored predictions; arguments as of ``compute_metrics``."""
    resampling = metric.resampling
    assert resampling is not None
    assert resampling.derivatives is not None
    return resampling.derivatives(*(answers_of(key, predicted, labels, names) for key in metric.needs))


def _rounded(derivative: NDArray[np.float64]) -> tuple[NDArray[np.int32], float]:
    unit = float(np.abs(derivative).max(initial=0.0)) / 2 ** (DIGITS - 1)
    if not unit:
        return np.zeros(len(derivative), dtype=np.int32), 0.0
    return np.rint(derivative / unit).astype(np.int32), unit
