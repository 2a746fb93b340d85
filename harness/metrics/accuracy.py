"""Accuracy as a fraction 0..1, and how accuracies are combined."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def top1(predicted: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Share of images whose predicted label is right; n images, both arrays ``(n,)``.

    Raises:
        ValueError: no image, or arrays of different length.
    """
    require_pairs(predicted, label)
    return float(np.count_nonzero(predicted == label)) / len(label)


def per_class_top1(
    predicted: NDArray[np.integer], label: NDArray[np.integer], classes: int
) -> tuple[float | None, ...]:
    """Top-1 accuracy of every class, None for a class without an image."""
    require_pairs(predicted, label)
    images = np.bincount(label, minlength=classes)
    right = np.bincount(label[predicted == label], minlength=classes)
    return tuple(float(r) / int(n) if n else None for r, n in zip(right, images, strict=True))


def worst_decile(accuracies: Sequence[float | None]) -> float:
    """Mean accuracy of the worst tenth of the classes (at least one class)."""
    known = sorted(a for a in accuracies if a is not None)
    worst = known[: max(1, len(known) // 10)]
    return sum(worst) / len(worst)


def worst_decile_top1(predicted: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Mean top-1 accuracy of the worst tenth of the classes that have images."""
    require_pairs(predicted, label)
    return worst_decile(per_class_top1(predicted, label, int(label.max()) + 1))


def macro_f1(predicted: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Mean over classes with images of F1, the harmonic mean of precision and recall (0 without a hit).

    As the release's evaluator reports it: ``f1_score(average="macro", labels=np.unique(label))`` of scikit-learn.
    Classes that were predicted and have no image count in no mean, but cost the others their recall.

    Raises:
        ValueError: no image, or arrays of different length.
    """
    require_pairs(predicted, label)
    size = int(max(predicted.max(), label.max())) + 1
    images, given = np.bincount(label, minlength=size), np.bincount(predicted, minlength=size)
    right = np.bincount(label[predicted == label], minlength=size)
    there = images > 0
    return float(np.mean(2 * right[there] / (images + given)[there]))


def h_mean(a: float, b: float) -> float:
    """Harmonic mean of two accuracies; 0 if both are 0."""
    return 2 * a * b / (a + b) if a + b > 0 else 0.0


def exact_mean(values: Sequence[float]) -> float:
    """Mean of accuracies; the sum is exact and rounded once, so it depends on no order. Equal values are their own."""
    if values.count(values[0]) == len(values):
        return float(values[0])
    return math.fsum(values) / len(values)


def mean_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean (``exact_mean``) and sample standard deviation (n - 1; 0 for one value) over seeds or domains."""
    mean = exact_mean(values)
    return mean, math.sqrt(math.fsum([(value - mean) ** 2 for value in values]) / max(1, len(values) - 1))


def difference(a: float, b: float) -> float:
    """``a - b`` rounded to twelve decimals: below that is the noise of binary fractions. Never -0."""
    return round(a - b, 12) + 0.0


def require_pairs(predicted: NDArray[np.integer], label: NDArray[np.integer]) -> None:
    """Check that there are images, and a prediction for each.

    Raises:
        ValueError: no image, or arrays of different length.
    """
    if predicted.shape != label.shape or predicted.ndim != 1:
        raise ValueError(f"predictions {predicted.shape} and labels {label.shape} must be (n,) both")
    if len(label) == 0:
        raise ValueError("no image to score")
