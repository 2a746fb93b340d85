"""Clusters of many restarts matched with names in many wordings, as one batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.device import to_device
from harness.matching import assign, match

from ._balanced import sinkhorn
from ._clusters import means_of

if TYPE_CHECKING:
    from torch import Tensor

VOTE = 0.1
"""What the one-to-one matching counts beside the shares: a name that is taken elsewhere is less likely here."""


ONE = 2**26
"""A score of one, as a whole number."""
LARGEST = 16.0
"""Score up to which whole numbers are of that size; larger ones are scaled to fit."""


def assigned(score: Tensor) -> Tensor:
    """``(clusters,)`` names, -1 for none: the one-to-one assignment of greatest total score ``(clusters, names)``."""
    largest = max(LARGEST, float(score.abs().max())) if score.numel() else LARGEST
    whole = (score.double() * (ONE * LARGEST / largest)).round().to(torch.int32).cpu().numpy()
    return torch.from_numpy(assign(whole).columns).to(score.device)


def sample_means(pool: Tensor, cluster: Tensor, k: int, images: int | None, generator: torch.Generator) -> Tensor:
    """``(k, d)`` plain means of at most so many random images of each cluster, None for all; zero for an empty one."""
    if images is None:
        return means_of(pool, cluster, k)
    order = to_device(torch.randperm(len(pool), generator=generator), pool.device)
    place = F.one_hot(cluster[order], k).cumsum(dim=0).gather(1, cluster[order][:, None])[:, 0]
    kept = order[place <= images]
    return means_of(pool[kept], cluster[kept], k)


@dataclass(frozen=True)
class Matched:
    """Clusters of every restart matched with the names in every wording.

    Attributes:
        best: the restart of greatest total over all wordings.
        name: ``(k,)`` names of its clusters by the protocol's prompt, -1 for none.
        evidence: ``(n, names)`` how likely each name is for an image, rows summing to one: the share of its cluster
            that the name takes, and whether the cluster is matched with the name; over all restarts and wordings.
        agreement: share of clusters that have the same name in another wording; 1 where there is none.
        margin: the matching's mean similarity over that of a random one.
    """

    best: int
    name: Tensor
    evidence: Tensor
    agreement: float
    margin: float


def matched(pool: Tensor, cluster: Tensor, k: int, texts: Tensor, scale: float) -> Matched:
    """Match all restarts in all wordings, as one batch.

    What a cluster has to do with a name is the part of its images that equal capacities give to the name: so a prompt
    that is near to everything takes no more than its share.

    Args:
        pool: ``(n, d)`` images.
        cluster: ``(r, n)`` clusters of every restart.
        k: clusters.
        texts: ``(t, names, d)`` of every wording.
        scale: of cosines.
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
    return Matched(best, column[0, best], evidence / evidence.sum(dim=1, keepdim=True), agreement, margin)
