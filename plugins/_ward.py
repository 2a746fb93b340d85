"""Ward clustering with known classes, without an (n, n) distance matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 2048
"""Clusters whose distances are computed at once; results do not depend on it."""


def ward(x: Tensor, k: int, known: Tensor, label: Tensor) -> Tensor:
    """Ward's hierarchical clustering (JASA 1963), cut so that k clusters contain no image of a known class.

    The images of a known class start as one cluster, which scipy and scikit-learn do not offer. All mutual nearest
    neighbours merge at once, which gives Ward's tree (Sumengen et al., 2021) in O(n) memory.

    Args:
        x: ``(n, d)`` rows.
        k: number of clusters; fewer if there are fewer rows.
        known: ``(m, d)`` rows of known classes.
        label: ``(m,)`` their classes.

    Returns:
        ``(1, n)`` clusters. A row that merged with a known class goes to the nearest cluster mean.
    """
    n, (classes, label) = len(x), torch.unique(label, return_inverse=True)
    size = torch.bincount(label, minlength=len(classes)).to(x.dtype)
    centre = x.new_zeros(len(classes), x.shape[1]).index_add_(0, label, known) / size[:, None]
    merges = _merges(torch.cat([x, centre]), torch.cat([x.new_ones(n), size]))
    root = torch.tensor(_cut(merges, n + len(classes), n, k)[:n], device=x.device)
    free, cluster = torch.unique(root, return_inverse=True)
    mean = torch.stack([x[root == r].mean(dim=0) for r in free[free >= 0]]) if n else x
    if n and free[0] < 0:
        cluster = torch.where(root < 0, torch.cdist(x, mean).argmin(dim=1), cluster - 1)
    return cluster[None]


def _merges(mean: Tensor, size: Tensor) -> list[tuple[float, int, int]]:
    """(height, a, b) of every merge, lowest first; a and b are leaves of the merged clusters."""
    leaf, merges = torch.arange(len(mean), device=mean.device), []
    while len(mean) > 1:
        height, other = _nearest_clusters(mean, size)
        own = torch.arange(len(mean), device=mean.device)
        first = own[(other[other] == own) & (own < other)]
        if len(first) == 0:  # ties broken by rounding
            first = height.argmin()[None]
        second = other[first]
        merges += zip(height[first].tolist(), leaf[first].tolist(), leaf[second].tolist(), strict=True)
        both = size[first] + size[second]
        mean[first] = (mean[first] * size[first, None] + mean[second] * size[second, None]) / both[:, None]
        size[first] = both
        remaining = torch.ones(len(mean), dtype=torch.bool, device=mean.device)
        remaining[second] = False
        mean, size, leaf = mean[remaining], size[remaining], leaf[remaining]
    return sorted(merges)


def _nearest_clusters(mean: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """For each cluster the least growth of the within-cluster sum of squares ``(c,)``, and the partner ``(c,)``."""
    square, found = mean.square().sum(dim=1), []
    for start in range(0, len(mean), ROWS):
        rows = slice(start, start + ROWS)
        apart = (square[rows, None] + square - 2 * mean[rows] @ mean.T).clamp_min(0)
        growth = apart * (size[rows, None] * size / (size[rows, None] + size))
        growth[torch.arange(len(growth)), torch.arange(start, start + len(growth))] = float("inf")
        found.append(growth.min(dim=1))
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def _cut(merges: list[tuple[float, int, int]], leaves: int, free: int, k: int) -> list[int]:
    """Cluster of every leaf once k clusters contain no leaf from ``free`` on; -1 for all other clusters."""
    parent = list(range(leaves))

    def root(leaf: int) -> int:
        while parent[leaf] != leaf:
            parent[leaf] = leaf = parent[parent[leaf]]
        return leaf

    left = free
    for _, a, b in merges:
        if left <= k:
            break
        low, high = sorted((root(a), root(b)))
        left -= low < free  # a cluster with a known class is represented by that leaf: the higher index
        parent[low] = high
    return [-1 if root(leaf) >= free else root(leaf) for leaf in range(leaves)]
