"""Grid search: choose a setting by the number of labelled images that it classifies correctly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def middle_of_best(right: Sequence[Any]) -> tuple[int, ...]:
    """Position of the best setting; among ties, the one nearest to their mean position.

    With few images many settings tie, and the first or last of them is at the edge of the good region. Of equally
    near ones the first is returned.

    Args:
        right: ``(g1, ..., gn)`` correct counts on a grid of n parameters; neighbours are similar settings.
    """
    counts = np.asarray(right)
    best = np.argwhere(counts == counts.max())
    apart = np.square(len(best) * best - best.sum(axis=0)).sum(axis=1)  # integers, so that ties are exact
    return tuple(best[apart.argmin()].tolist())


def first_of_best(right: Sequence[Any]) -> tuple[int, ...]:
    """Position of the best setting; among ties, the first in row-major order."""
    counts = np.asarray(right)
    return tuple(int(at) for at in np.unravel_index(counts.argmax(), counts.shape))
