"""A measure with its derivative by how often each image is drawn, which is what its intervals are computed from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


class Differentiated(NamedTuple):
    """The value of a measure and its derivatives.

    In a replicate in which image i is drawn ``w_i`` times, the measure is ``value + sum_i (w_i - 1) derivative_i`` to
    first order (the infinitesimal jackknife: Jaeckel 1972; Efron and Tibshirani 1993, chapter 22). What the measure
    selects on all images, such as bins, ranks and the signs of differences, stays selected, so a replicate has no bias
    of its own; sorting the images again in each would take a hundred times as long.

    Attributes:
        value: with every image once.
        derivatives: one ``(n,)`` for each kind of images. A constant may be added to each: the number of drawn images
            is fixed.
    """

    value: float
    derivatives: tuple[Reals, ...]


def mean_over_groups(values: Reals, group: NDArray[np.integer]) -> Reals:
    """Each value ``(n,)`` replaced by the mean over its group; groups are numbered from 0."""
    return np.asarray((np.bincount(group, values) / np.maximum(np.bincount(group), 1))[group])
