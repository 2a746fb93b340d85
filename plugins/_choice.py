"""One setting out of a grid, by the number of labelled images that each setting gets right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def middle_of_best(right: Sequence[Any]) -> tuple[int, ...]:
    """Position of the best setting; of several, the one in the middle.

    A few images give the same count to many settings, and the first or last of them lies at the edge of what still
    works. So it is the one nearest to their mean position; of equally near ones the first.

    Args:
        right: ``(g1, ..., gn)`` counts on a grid of n parameters, whose neighbours are similar settings.
    """
    counts = np.asarray(right)
    best = np.argwhere(counts == counts.max())
    apart = np.square(len(best) * best - best.sum(axis=0)).sum(axis=1)  # in whole numbers: equal is equal
    return tuple(best[apart.argmin()].tolist())


def first_of_best(right: Sequence[Any]) -> tuple[int, ...]:
    """Position of the best setting; of several, the first in the order of the loops, as ``>`` keeps it."""
    counts = np.asarray(right)
    return tuple(int(at) for at in np.unravel_index(counts.argmax(), counts.shape))
