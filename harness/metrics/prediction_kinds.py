"""The kinds of predictions that a cell stores: whose images they are of, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Columns = NDArray[np.int64]
"""Predictions or labels ``(n,)``: columns of names, numbers of clusters, and other whole numbers."""

LEVELS = 6
"""Levels of the tree of a side's features, of 64 leaves at most."""

SUBGROUP_LEVELS = 2
"""Levels of the tree of a class's features, of four subgroups at most."""


@dataclass(frozen=True)
class PredictionKind:
    """One kind of predictions.

    Attributes:
        side: whose images (and labels) they are of: scored OOP or IP images, or the unlabeled pool.
        holds: columns of names, or numbers of clusters that a method found; or what is measured besides: confidences
            of predictions, ranks of margins, and groups of images by their features.
        joint: among the names of both sides, the OOP names first; or in clusters of both sides' images together.
        of_clusters: one entry for each cluster of the pool, instead of one for each image.
        none: whether -1 says that an image has no cluster, or a cluster no name.
        requires: other kinds without which it means nothing.
    """

    side: Literal["oop", "ip", "pool"]
    holds: Literal["names", "clusters", "confidences", "ranks", "groups"]
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
    # Log-odds of the predicted name, as of harness.metrics.confidence.
    "oop_confidence": PredictionKind("oop", "confidences", requires=("oop",)),
    "ip_confidence": PredictionKind("ip", "confidences", requires=("ip",)),
    "joint_oop_confidence": PredictionKind("oop", "confidences", joint=True, requires=("joint_oop",)),
    "joint_ip_confidence": PredictionKind("ip", "confidences", joint=True, requires=("joint_ip",)),
    # In the joint vocabulary, the best name of the image's own side, and the rank of its best OOP score minus its best
    # IP score, over the images of both sides.
    "joint_oop_own": PredictionKind("oop", "names", requires=("joint_oop", "joint_ip_own", "oop_margin")),
    "joint_ip_own": PredictionKind("ip", "names", requires=("joint_ip", "joint_oop_own", "ip_margin")),
    "oop_margin": PredictionKind("oop", "ranks", joint=True, requires=("joint_oop_own", "ip_margin")),
    "ip_margin": PredictionKind("ip", "ranks", joint=True, requires=("joint_ip_own", "oop_margin")),
    # Leaves of trees of image features, as of harness.metrics.feature_tree: of each class, and of the whole side.
    "oop_subgroup": PredictionKind("oop", "groups", requires=("oop",)),
    "ip_subgroup": PredictionKind("ip", "groups", requires=("ip",)),
    "oop_leaf": PredictionKind("oop", "groups", requires=("oop",)),
    "ip_leaf": PredictionKind("ip", "groups", requires=("ip",)),
}
"""Every kind of predictions by its key, in the order in which they are stored."""


def cluster_key(side: str, joint: bool) -> str:
    """The key of the clusters of a side's images, found with those of the other side or alone."""
    wanted = (
        key for key, kind in PREDICTIONS.items() if (kind.side, kind.holds, kind.joint) == (side, "clusters", joint)
    )
    return next(wanted)
