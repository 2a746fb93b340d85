"""A tree of images by their features: each node is split in two along its principal direction.

Principal direction divisive partitioning (Boley, Data Mining and Knowledge Discovery 1998). It draws no random numbers
and takes time in proportion to the number of images, unlike linkage.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 32
"""Power iterations for a principal direction."""


def tree_leaves(rows: NDArray[np.floating], depth: int, smallest: int) -> NDArray[np.int64]:
    """The leaf of each image ``(n,)``, as the bits of its way from the root, the root's first.

    Args:
        rows: features ``(n, d)``.
        depth: of the tree; it has ``2 ** depth`` leaves at most.
        smallest: images that a node needs to be split. A node that is not split is the first of its leaves.
    """
    leaf = np.zeros(len(rows), dtype=np.int64)
    _split(rows.astype(np.float64), np.arange(len(rows)), leaf, depth, smallest)
    return leaf


def leaves_by_class(
    rows: NDArray[np.floating], label: NDArray[np.integer], depth: int, smallest: int
) -> NDArray[np.int64]:
    """The leaf of each image in the tree of its class ``(n,)``; arguments as of ``tree_leaves``."""
    leaf = np.zeros(len(rows), dtype=np.int64)
    for members in (np.flatnonzero(label == one) for one in np.unique(label)):
        leaf[members] = tree_leaves(rows[members], depth, smallest)
    return leaf


def _split(
    rows: NDArray[np.float64], members: NDArray[np.intp], leaf: NDArray[np.int64], level: int, least: int
) -> None:
    if not level or len(members) < max(2, least):
        return
    above = _above(rows[members])
    leaf[members[above]] += 1 << (level - 1)
    for part in (members[~above], members[above]):
        _split(rows, part, leaf, level - 1, least)


def _above(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows are above the mean along the principal direction; none if all are equal."""
    centred = rows - rows.mean(axis=0)
    products = centred.T @ centred if len(rows) > rows.shape[1] else None
    direction = centred[np.argmax((centred**2).sum(axis=1))]
    for _ in range(ITERATIONS):
        if not (length := float(np.linalg.norm(direction))):
            break
        unit = direction / length
        direction = centred.T @ (centred @ unit) if products is None else products @ unit
    return np.asarray(centred @ direction > 0)
