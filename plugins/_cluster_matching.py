"""One-to-one assignment of clusters and names by any score, and the means of sampled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.device import to_device
from harness.matching import assign

from ._clustering import class_means

if TYPE_CHECKING:
    from torch import Tensor

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
