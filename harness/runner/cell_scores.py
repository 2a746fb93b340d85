"""Scores and artifacts of one cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CellScores:
    """Scores and artifacts of one cell, scored by names or by clusters.

    Attributes:
        metrics: those of ``harness.metrics.table`` that apply.
        predictions: what is stored of the answers, by the keys of ``harness.results.predictions``.
        images: number of scored images of each side.
        unreadable: images that could not be decoded.
        outcome: what the method reports of its fit.
        remarks: what of its report was invalid, and which metrics of plugins failed.
        fit_seconds: time in ``fit``.
        score_seconds: time for everything after ``fit``.
        trainable: how many numbers were learned.
        per_class: accuracy of every class of each side.
        not_applicable: why only the OOP names were scored.
    """

    metrics: dict[str, float]
    predictions: dict[str, NDArray[np.int64]]
    images: dict[str, int]
    unreadable: frozenset[str]
    outcome: dict[str, Any]
    remarks: tuple[str, ...]
    fit_seconds: float
    score_seconds: float
    trainable: int
    per_class: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    not_applicable: str | None = None
