"""What follows from the answer of a cell's process."""

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
        outcome: what the method reports of its fits.
        remarks: what of its report was invalid, and which metrics of plugins failed.
        per_class: accuracy of every class of each side.
    """

    metrics: dict[str, float]
    predictions: dict[str, NDArray[np.int64]]
    images: dict[str, int]
    outcome: dict[str, Any]
    remarks: tuple[str, ...]
    per_class: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
