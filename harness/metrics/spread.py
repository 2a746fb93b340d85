"""How unevenly a method is right: the spread of accuracy over classes, and over groups of images within a class."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.metrics.derivative import Differentiated, Reals

Groups = NDArray[np.integer]
"""The number of each image's group ``(n,)``."""


def class_deviation(right: NDArray[np.bool_], label: Groups) -> Differentiated:
    """Standard deviation of accuracy over the classes that have images; lower is more even.

    ``sqrt(1/K sum_c (a_c - mean a)^2)`` (reported for CLIP's pseudo-labels by Menghini et al., NeurIPS 2023).

    Args:
        right: whether each prediction is right ``(n,)``.
        label: the class of each image ``(n,)``.

    Raises:
        ValueError: no image.
    """
    value, derivative = _mean_deviation(right, np.zeros_like(label), label)
    return Differentiated(value or 0.0, (derivative,))  # of one class there is no spread


def subgroup_deviation(right: NDArray[np.bool_], label: Groups, group: Groups) -> Differentiated | None:
    """MacroStd: the standard deviation of accuracy over the groups of a class, mean over classes; lower is more even.

    After the subgroup discrepancy of Chiu et al. (ICCV 2023); groups are clusters of the class's image features, see
    ``harness.metrics.feature_tree``. A group of ten images has a deviation of up to 0.16 by chance alone, so compare
    methods, on the same images, rather than with 0.

    Args:
        right: whether each prediction is right ``(n,)``.
        label: the class of each image ``(n,)``.
        group: of each image, within its class ``(n,)``.

    Returns:
        None if no class has two groups.

    Raises:
        ValueError: no image.
    """
    value, derivative = _mean_deviation(right, label, group)
    return None if value is None else Differentiated(value, (derivative,))


def _mean_deviation(right: NDArray[np.bool_], outer: Groups, inner: Groups) -> tuple[float | None, Reals]:
    """Mean over outer groups of the deviation over their inner groups; outer groups of one inner group do not count."""
    if not len(right):
        raise ValueError("no image to score")
    member, size, of, inners = _grouping(*(np.asarray(group, dtype=np.int64).tobytes() for group in (outer, inner)))
    accuracy = np.bincount(member, right) / size
    distance = accuracy - (np.bincount(of, accuracy) / inners)[of]
    deviation = np.sqrt(np.bincount(of, distance**2) / inners)
    counted = inners > 1
    if not counted.any():
        return None, np.zeros(len(right))
    share = np.where(counted, 1 / counted.sum() / inners, 0)[of]
    slope = np.divide(distance * share, deviation[of], out=np.zeros_like(distance), where=deviation[of] > 0)
    return float(deviation[counted].mean()), (slope / size)[member] * (right - accuracy[member])


class _Grouping(NamedTuple):
    """Images in inner groups, and these in outer groups.

    Attributes:
        member: the inner group of each image ``(n,)``.
        size: images of each inner group ``(g,)``.
        of: the outer group of each inner group ``(g,)``.
        inners: inner groups of each outer group.
    """

    member: NDArray[np.intp]
    size: NDArray[np.intp]
    of: NDArray[np.intp]
    inners: NDArray[np.intp]


@lru_cache(maxsize=64)  # rows of one leaderboard are of the same images
def _grouping(outer: bytes, inner: bytes) -> _Grouping:
    """The groups of images, from the outer and the inner group of each as 64-bit numbers."""
    numbers = np.stack([np.frombuffer(part, dtype=np.int64) for part in (outer, inner)], axis=1)
    pairs, member = np.unique(numbers, axis=0, return_inverse=True)
    member = member.reshape(-1)
    of = np.unique(pairs[:, 0], return_inverse=True)[1]
    return _Grouping(member, np.bincount(member), of, np.bincount(of))
