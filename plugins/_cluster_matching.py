"""Matching of clusters and names, over all restarts and prompts in one batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.device import to_device
from harness.matching import assign, match

from ._clustering import class_means
from ._sinkhorn import sinkhorn

if TYPE_CHECKING:
    from torch import Tensor

VOTE = 0.1
"""Weight of the one-to-one matching relative to the shares: a name matched elsewhere is less likely here."""
ONE = 2**26
"""Fixed-point unit: the integer for a score of 1."""
LARGEST = 16.0
"""Largest score in that unit; larger scores are scaled down to fit."""


def assign_names(score: Tensor) -> Tensor:
    """``(clusters,)`` names, -1 for none: the one-to-one assignment that maximises the total ``(clusters, names)``."""
    largest = max(LARGEST, float(score.abs().max())) if score.numel() else LARGEST
    whole = (score.double() * (ONE * LARGEST / largest)).round().to(torch.int32).cpu().numpy()
    return torch.from_numpy(assign(whole).columns).to(score.device)


def sample_means(pool: Tensor, cluster: Tensor, k: int, images: int | None, generator: torch.Generator) -> Tensor:
    """``(k, d)`` means of up to ``images`` random images per cluster (None: all); zero for an empty cluster."""
    if images is None:
        return class_means(pool, cluster, k)
    order = to_device(torch.randperm(len(pool), generator=generator), pool.device)
    place = F.one_hot(cluster[order], k).cumsum(dim=0).gather(1, cluster[order][:, None])[:, 0]
    chosen = order[place <= images]
    return class_means(pool[chosen], cluster[chosen], k)


@dataclass(frozen=True)
class ClusterMatch:
    """Result of matching the clusters of all restarts with the names in all prompts.

    Attributes:
        best: restart with the greatest total similarity over all prompts.
        name: ``(k,)`` names of its clusters by the protocol's prompt, -1 for none.
        evidence: ``(n, names)`` probability of each name for an image, rows summing to one: the share of its cluster
            that the name takes, plus whether they are matched; averaged over all restarts and prompts.
        agreement: share of clusters that get the same name from another prompt; 1 without another prompt.
        margin: mean similarity of the matching relative to a random one.
    """

    best: int
    name: Tensor
    evidence: Tensor
    agreement: float
    margin: float


def match_clusters(pool: Tensor, cluster: Tensor, k: int, texts: Tensor, scale: float) -> ClusterMatch:
    """Match the clusters of all restarts with the names in all prompts.

    The similarity of cluster and name is the number of its images that a balanced transport plan assigns to the name,
    so a prompt that is close to every image gets no more than its share.

    Args:
        pool: ``(n, d)`` images.
        cluster: ``(r, n)`` clusters of every restart.
        k: number of clusters.
        texts: ``(t, names, d)`` text features of every prompt.
        scale: scale of the cosines.
    """
    r, t, names = len(cluster), len(texts), texts.shape[1]
    part = torch.zeros(t, r, k, names, dtype=pool.dtype, device=pool.device)
    for text, into in zip(texts, part, strict=True):
        taken = sinkhorn(scale * pool @ text.T)
        for each, of_restart in zip(cluster, into, strict=True):
            of_restart.index_add_(0, each, taken)
    axes = torch.eye(names, dtype=pool.dtype, device=pool.device).expand(t * r, -1, -1)
    found = match(part.flatten(0, 1), axes)
    column = found.columns.unflatten(0, (t, r))
    best = int(found.similarity.unflatten(0, (t, r)).sum(dim=0).argmax())
    voted = torch.zeros(t, r, k, names + 1, dtype=pool.dtype, device=pool.device)
    voted = voted.scatter_(3, column[..., None] % (names + 1), 1.0)[..., :names]
    likely = (part / part.sum(dim=3, keepdim=True).clamp_min(1e-9) + VOTE * voted).mean(dim=0)
    evidence = torch.stack([of[each] for of, each in zip(likely, cluster, strict=True)]).mean(dim=0)
    there = (column[0] >= 0).expand_as(column[1:])
    agreement = float(((column[1:] == column[0]) & there).sum()) / int(there.sum()) if there.any() else 1.0
    margin = float((part * voted).sum() / part.sum().clamp_min(1e-9)) * max(k, names)
    return ClusterMatch(best, column[0, best], evidence / evidence.sum(dim=1, keepdim=True), agreement, margin)
