"""Posterior of the names of a pool's images: zero-shot's own, moved by the evidence of clusters."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.matching import match

from ._sinkhorn import sinkhorn

LEAST, MOST = 0.05, 0.95
"""Bounds of the purity: neither impure nor pure clusters decide alone."""


@dataclass(frozen=True)
class NameEvidence:
    """What the clusters of a pool say about the names of its images.

    Attributes:
        posterior: ``(n, names)`` probability of each name for an image, rows summing to one.
        name: ``(k,)`` names that the clusters of the best restart are matched with, -1 for none.
        best: the restart with the greatest total similarity.
        purity: of the clusters, within its bounds.
        share: mean share of a cluster that its matched name takes.
        weight: weight of a cluster's shares relative to the image's own zero-shot scores.
        matchings: number of matchings.
    """

    posterior: Tensor
    name: Tensor
    best: int
    purity: float
    share: float
    weight: float
    matchings: int


def name_evidence(logits: Tensor, cluster: Tensor, k: int, purity: float, rounds: int) -> NameEvidence:
    """Posterior of the names from zero-shot's scores and from the clusters of all restarts.

    1. The share of a name in a cluster is the mean, over its images, of a transport plan from images to names that
    gives all names the same mass: a prompt that is close to every image takes no more than the others. 2. Clusters and
    names are matched one-to-one by the shares. 3. The posterior of an image is zero-shot's softmax times its cluster's
    shares, averaged over restarts, to the power of a weight: matched share / (1 - purity), what the name holds of a
    cluster over what other classes hold of it; at least 1, which is Bayes' rule. If the names tell nothing all shares
    are alike, and the posterior is zero-shot's. 4. If most images of a cluster belong together (purity > 1 / 2) and the
    matched name has the majority of these (share > purity / 2) the names are known, and the balanced posterior is the
    plan of the next round. Impure clusters would repeat their first guess, with more certainty.

    Args:
        logits: ``(n, names)`` zero-shot scores.
        cluster: ``(r, n)`` clusters of every restart.
        k: number of clusters.
        purity: probability that two images of a cluster have the same name.
        rounds: maximum number of matchings.
    """
    purity = min(max(purity, LEAST), MOST)
    moved = logits
    for matchings in itertools.count(1):
        shares = cluster_shares(sinkhorn(moved), cluster, k)
        name, best, share = match_shares(shares)
        weight = max(1.0, share / (1 - purity))
        own = torch.stack([of[each] for of, each in zip(shares, cluster, strict=True)]).mean(dim=0)
        moved = logits + weight * (own * own.shape[1]).clamp_min(1e-6).log()
        if matchings >= rounds or purity <= 0.5 or share <= purity / 2:
            break
    return NameEvidence(moved.softmax(dim=1), name, best, purity, share, weight, matchings)


def cluster_shares(plan: Tensor, cluster: Tensor, k: int) -> Tensor:
    """``(r, k, names)`` mean of the plan ``(n, names)`` over every cluster of every restart; zero for an empty one."""
    total = plan.new_zeros(len(cluster), k, plan.shape[1])
    count = plan.new_zeros(len(cluster), k, 1)
    for each, into, number in zip(cluster, total, count, strict=True):
        into.index_add_(0, each, plan)
        number.index_add_(0, each, torch.ones_like(plan[:, :1]))
    return total / count.clamp_min(1)


def match_shares(shares: Tensor) -> tuple[Tensor, int, float]:
    """Match clusters and names one-to-one, all restarts in one batch.

    Args:
        shares: ``(r, k, names)``.

    Returns:
        Names ``(k,)`` of the best restart's clusters, that restart, and the mean share of the matched names.
    """
    axes = torch.eye(shares.shape[2], dtype=shares.dtype, device=shares.device).expand(len(shares), -1, -1)
    found = match(shares, axes)
    matched = shares.gather(2, found.columns.clamp_min(0)[..., None])[..., 0][found.columns >= 0]
    best = int(found.similarity.argmax())
    return found.columns[best], best, float(matched.mean())
