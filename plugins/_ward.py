"""Clusters by merging, with known classes among them, and without a table of all pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 2048
"""Clusters whose distances are worked out at once; decides no result."""


def ward(x: Tensor, k: int, known: Tensor, label: Tensor) -> Tensor:
    """Ward's merging (JASA 1963), cut where k clusters hold no image of a known class.

    The images of a known class are one cluster from the start. Libraries can do neither that nor 20,000 images in
    little memory: here all pairs that are each other's nearest merge at once, which ends in Ward's own tree (Sumengen
    et al., 2021).

    Args:
        x: ``(n, d)`` rows.
        k: clusters; fewer when there are fewer rows.
        known: ``(m, d)`` rows of known classes.
        label: ``(m,)`` their classes.

    Returns:
        ``(1, n)`` clusters. A row that merged with a known class is given to the cluster whose mean is nearest.
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
    """(height, a, b) of every merge of the tree, from the lowest; a and b are leaves of the two."""
    leaf, merges = torch.arange(len(mean), device=mean.device), []
    while len(mean) > 1:
        height, other = _nearest_clusters(mean, size)
        own = torch.arange(len(mean), device=mean.device)
        first = own[(other[other] == own) & (own < other)]
        if len(first) == 0:  # equal distances, rounded apart
            first = height.argmin()[None]
        second = other[first]
        merges += zip(height[first].tolist(), leaf[first].tolist(), leaf[second].tolist(), strict=True)
        both = size[first] + size[second]
        mean[first] = (mean[first] * size[first, None] + mean[second] * size[second, None]) / both[:, None]
        size[first] = both
        kept = torch.ones(len(mean), dtype=torch.bool, device=mean.device)
        kept[second] = False
        mean, size, leaf = mean[kept], size[kept], leaf[kept]
    return sorted(merges)


def _nearest_clusters(mean: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """How much the squared distances within clusters grow at least when each merges ``(c,)``, and with which."""
    square, found = mean.square().sum(dim=1), []
    for start in range(0, len(mean), ROWS):
        rows = slice(start, start + ROWS)
        apart = (square[rows, None] + square - 2 * mean[rows] @ mean.T).clamp_min(0)
        growth = apart * (size[rows, None] * size / (size[rows, None] + size))
        growth[torch.arange(len(growth)), torch.arange(start, start + len(growth))] = float("inf")
        found.append(growth.min(dim=1))
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def _cut(merges: list[tuple[float, int, int]], leaves: int, free: int, k: int) -> list[int]:
    """The cluster of every leaf when only k hold none of the leaves from ``free`` on; -1 in a cluster that does."""
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
        left -= low < free  # the one that holds a known class goes by its leaf, which is among the last
        parent[low] = high
    return [-1 if root(leaf) >= free else root(leaf) for leaf in range(leaves)]
