"""Accuracy of concepts against how many captions of the pre-training corpus mention them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from harness.backbones.corpora import UNKNOWN
from harness.errors import UserError
from harness.leaderboard.statistics import Interval
from harness.types.leaderboard import Row

RESAMPLES = 1000
"""Bootstrap samples of concepts for the interval of a fit."""


class ConceptAccuracy(NamedTuple):
    """One concept of a row.

    Attributes:
        domain: its domain.
        side: ``ip`` or ``oop``.
        captions: that mention it, within the context length of the text tower.
        accuracy: among the names of its side, averaged over seeds.
    """

    domain: str
    side: str
    captions: int
    accuracy: float


class FrequencyBin(NamedTuple):
    """Concepts with similar counts.

    Attributes:
        low, high: the counts, both included.
        concepts: their number.
        accuracy: mean over them.
    """

    low: int
    high: int
    concepts: int
    accuracy: float

    @property
    def text(self) -> str:
        """``0``, ``1-9``, ``10-99``, ..."""
        return f"{self.low:,}-{self.high:,}" if self.high > self.low else f"{self.low:,}"


class FrequencyFit(NamedTuple):
    """Least-squares line of accuracy on log10 of the count, over concepts that occur at all.

    As in *No "Zero-Shot" Without Exponential Data* (Udandarao et al., NeurIPS 2024).

    Attributes:
        slope: accuracy for ten times as many captions.
        intercept: accuracy at one caption.
        slope_interval: 95 %, by bootstrap over concepts.
        correlation: Pearson's.
        samples: slope and intercept of each bootstrap sample ``(r, 2)``.
    """

    slope: float
    intercept: float
    slope_interval: Interval
    correlation: float
    samples: np.ndarray

    def band(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The 95 % band of the line at ``log10`` counts ``(n,)``."""
        lines = self.samples[:, :1] * places + self.samples[:, 1:]
        low, high = np.quantile(lines, [0.025, 0.975], axis=0)
        return low, high


def concepts_of(rows: Iterable[Row]) -> dict[str, list[ConceptAccuracy]]:
    """Row id -> the concepts with a count and an accuracy, of rows that have some.

    Raises:
        UserError: no row has any.
    """
    rows = list(rows)
    found = {row.id: concepts for row in rows if (concepts := concept_accuracies(row))}
    if not found:
        corpora = sorted({row.backbone_record.corpus for row in rows} - {UNKNOWN})
        if not corpora:
            raise UserError("no row has a model whose corpus is known", "a backbone states its corpus: docs/corpus.md")
        raise UserError(
            f"no row has counts of its names in the corpus of its model, {' or '.join(corpora)}",
            f"count with `harness corpus count CAPTIONS --names NAMES --corpus {corpora[0]} --out record.json`; run "
            "the same `harness evaluate` again with --corpus-record record.json: it adds the counts to its rows",
        )
    return found


def concept_accuracies(row: Row) -> list[ConceptAccuracy]:
    """The concepts of a row with a count and an accuracy."""
    found = []
    for domain, sides in sorted(row.per_class.items()):
        facts = row.data[domain].pretraining
        for side, values in sorted(sides.items()):
            counts = () if facts is None else facts.captions.get(side, ())
            for captions, value in zip(counts, values, strict=False):
                if captions is not None and value is not None:
                    found.append(ConceptAccuracy(domain, side, captions, value))
    return found


def frequency_bins(concepts: Sequence[ConceptAccuracy]) -> list[FrequencyBin]:
    """Mean accuracy of concepts without captions, and of each power of ten."""
    groups: dict[int, list[float]] = {}
    for concept in concepts:
        groups.setdefault(len(str(concept.captions)) if concept.captions else 0, []).append(concept.accuracy)
    return [
        FrequencyBin(10 ** (digits - 1) if digits else 0, 10**digits - 1, len(values), sum(values) / len(values))
        for digits, values in sorted(groups.items())
    ]


def frequency_fit(concepts: Sequence[ConceptAccuracy]) -> FrequencyFit | None:
    """The line over concepts that occur; None if they are fewer than three, or all equally frequent."""
    known = [concept for concept in concepts if concept.captions]
    x = np.log10([concept.captions for concept in known])
    y = np.asarray([concept.accuracy for concept in known])
    if len(known) < 3 or np.ptp(x) == 0:
        return None
    chosen = np.random.default_rng(0).integers(0, len(x), (RESAMPLES, len(x)))
    samples = _lines(x[chosen], y[chosen])
    slope, intercept = _lines(x[None], y[None])[0]
    low, high = np.quantile(samples[:, 0], [0.025, 0.975])
    spread = float(x.std() * y.std())
    correlation = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if spread else 0.0
    return FrequencyFit(float(slope), float(intercept), Interval(float(low), float(high)), correlation, samples)


def _lines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Slope and intercept ``(r, 2)`` of each sample ``(r, n)``; flat where all x of a sample are equal."""
    middle = x - x.mean(axis=1, keepdims=True)
    spread = (middle**2).sum(axis=1)
    slope = (middle * y).sum(axis=1) / np.where(spread > 0, spread, 1)
    return np.stack([slope, y.mean(axis=1) - slope * x.mean(axis=1)], axis=1)
