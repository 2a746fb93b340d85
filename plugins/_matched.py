"""Clusters of many restarts matched with names in many wordings, as one batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from harness.matching import match

from ._balanced import sinkhorn

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Matched:
    """Clusters of every restart matched with the names in every wording.

    Attributes:
        best: the restart of greatest total over all wordings.
        name: ``(k,)`` names of its clusters by the protocol's prompt, -1 for none.
        votes: ``(n, names)`` share of all restarts and wordings in which an image's cluster is given the name.
        agreement: share of clusters that have the same name in another wording.
    """

    best: int
    name: Tensor
    votes: Tensor
    agreement: float


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
        share = sinkhorn(scale * pool @ text.T)
        for each, of_restart in zip(cluster, into, strict=True):
            of_restart.index_add_(0, each, share)
    axes = torch.eye(names, dtype=pool.dtype, device=pool.device).expand(t * r, -1, -1)
    found = match(part.flatten(0, 1), axes)
    column = found.columns.unflatten(0, (t, r))
    best = int(found.similarity.unflatten(0, (t, r)).sum(dim=0).argmax())
    votes = torch.zeros(len(pool), names + 1, dtype=pool.dtype, device=pool.device)
    for each in column:
        for of_restart, name in zip(cluster, each, strict=True):
            votes.scatter_add_(1, name[of_restart][:, None] % (names + 1), torch.ones_like(votes[:, :1]))
    there = (column[0] >= 0).expand_as(column[1:])
    agreement = float(((column[1:] == column[0]) & there).sum()) / max(1, int(there.sum()))
    return Matched(best, column[0, best], votes[:, :-1] / (t * r), agreement)
