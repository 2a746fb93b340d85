"""Clusters that a method finds in an unlabeled pool; the harness computes their metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Discovery:
    """Clusters of a pool and their names.

    Attributes:
        cluster: ``(n,)`` int64, the cluster of each image of ``Task.unlabeled``, in its order; -1 for an image in none.
        name: ``(k,)`` int64, the name of each cluster, a position in ``Task.names``; -1 for a cluster without a name.
    """

    cluster: Tensor
    name: Tensor
