"""Accuracy as a fraction 0..1, and how accuracies are combined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def top1(predicted: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Share of images whose predicted label is right; n images, both arrays ``(n,)``.

    Raises:
        ValueError: no image, or arrays of different length.
    """
    _require_pairs(predicted, label)
    return float(np.count_nonzero(predicted == label)) / len(label)


def h_mean(a: float, b: float) -> float:
    """Harmonic mean of two accuracies; 0 if both are 0."""
    return 2 * a * b / (a + b) if a + b > 0 else 0.0


def mean_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1; 0 for one value) of accuracies over seeds or domains."""
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else 0.0


def cluster_accuracy(cluster: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Share of images that are right under the best one-to-one naming of clusters (permutation-free).

    The counts of every (cluster, label) pair are matched by linear assignment; clusters beyond the number of labels
    name nothing and their images count as wrong.

    Raises:
        ValueError: no image, or arrays of different length.
    """
    from scipy.optimize import linear_sum_assignment

    _require_pairs(cluster, label)
    clusters, row = np.unique(cluster, return_inverse=True)
    labels, column = np.unique(label, return_inverse=True)
    counts = np.zeros((len(clusters), len(labels)), dtype=np.int64)
    np.add.at(counts, (row, column), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum()) / len(label)


def _require_pairs(predicted: NDArray[np.integer], label: NDArray[np.integer]) -> None:
    if predicted.shape != label.shape or predicted.ndim != 1:
        raise ValueError(f"predictions {predicted.shape} and labels {label.shape} must be (n,) both")
    if len(label) == 0:
        raise ValueError("no image to score")
