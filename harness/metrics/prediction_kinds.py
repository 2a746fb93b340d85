"""The kinds of predictions that a cell stores: whose images they are of, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Columns = NDArray[np.int64]
"""Predictions or labels ``(n,)``: columns of names, or numbers of clusters."""


@dataclass(frozen=True)
class PredictionKind:
    """One kind of predictions.

    Attributes:
        side: whose images (and labels) they are of: scored OOP or IP images, or the unlabeled pool.
        holds: columns of names, or numbers of clusters.
        joint: among the names of both sides, the OOP names first; or in clusters of both sides' images together.
        of_clusters: one entry for each cluster of the pool, instead of one for each image.
        none: whether -1 says that an image has no cluster, or a cluster no name.
        requires: other kinds without which it means nothing.
    """

    side: Literal["oop", "ip", "pool"]
    holds: Literal["names", "clusters"]
    joint: bool = False
    of_clusters: bool = False
    none: bool = False
    requires: tuple[str, ...] = ()

    @property
    def scored(self) -> bool:
        """Whether it has an entry for each scored image of a side."""
        return self.side != "pool"

    @property
    def named_with(self) -> tuple[str, ...]:
        """Other kinds whose clusters one naming is the best for, together with its own."""
        return self.requires if self.joint and self.holds == "clusters" else ()


PREDICTIONS: Mapping[str, PredictionKind] = {
    "oop": PredictionKind("oop", "names"),
    "ip": PredictionKind("ip", "names", requires=("oop", "joint_oop", "joint_ip")),
    "joint_oop": PredictionKind("oop", "names", joint=True, requires=("oop", "joint_ip")),
    "joint_ip": PredictionKind("ip", "names", joint=True, requires=("ip", "joint_oop")),
    "reference": PredictionKind("ip", "names", requires=("ip",)),  # zero-shot, for IP retention
    "pool_cluster": PredictionKind("pool", "clusters", none=True, requires=("cluster_name",)),
    "cluster_name": PredictionKind("pool", "names", of_clusters=True, none=True, requires=("pool_cluster",)),
    "oop_cluster": PredictionKind("oop", "clusters"),
    "ip_cluster": PredictionKind("ip", "clusters", requires=("oop_cluster",)),
    "joint_oop_cluster": PredictionKind("oop", "clusters", joint=True, requires=("joint_ip_cluster",)),
    "joint_ip_cluster": PredictionKind("ip", "clusters", joint=True, requires=("joint_oop_cluster",)),
}
"""Every kind of predictions by its key, in the order in which they are stored."""


def cluster_key(side: str, joint: bool) -> str:
    """The key of the clusters of a side's images, found with those of the other side or alone."""
    wanted = (
        key for key, kind in PREDICTIONS.items() if (kind.side, kind.holds, kind.joint) == (side, "clusters", joint)
    )
    return next(wanted)
