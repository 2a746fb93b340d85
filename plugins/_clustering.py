"""Clustering of an unlabeled pool, shared by the methods that discover classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from harness.device import to_device

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Support

ITERATIONS = 30
BUDGET = 2**26
"""Elements of the largest temporary array: sets how many restarts run at once; results do not depend on it."""


def canonical_order(pool: Tensor) -> Tensor:
    """``(n,)`` permutation that sorts the rows by content, so that results do not depend on their input order."""
    keys = pool[:, :8].cpu().numpy()
    return torch.from_numpy(np.lexsort(keys.T[::-1].copy())).to(pool.device)


def kmeans(x: Tensor, k: int, restarts: int, generator: torch.Generator, known: Support | None = None) -> Tensor:
    """k-means with restarts, initialised by greedy k-means++ (Arthur and Vassilvitskii, SODA 2007).

    Args:
        x: ``(n, d)`` rows.
        k: number of clusters; some stay empty if there are fewer distinct rows.
        restarts: number of restarts r.
        generator: random numbers of the initialisation.
        known: labelled images of other classes; each class is an extra cluster with fixed members
            (semi-supervised k-means, Vaze et al., CVPR 2022). The final assignment uses the k clusters only.

    Returns:
        ``(r, n)`` cluster indices, restarts sorted by inertia, lowest first.
    """
    fixed, weight = _class_sums(known, x)
    at_once = max(1, BUDGET // max(1, len(x) * (k + len(weight))))
    done = [_lloyd(x, centre, fixed, weight) for centre in _kmeans_plus_plus(x, k, restarts, generator).split(at_once)]
    found, inertia = (torch.cat(parts) for parts in zip(*done, strict=True))
    return found[torch.argsort(inertia, stable=True)]


def cluster_means(x: Tensor, cluster: Tensor, k: int) -> Tensor:
    """``(r, k, d)`` unit-length means of the clusters ``(r, n)``; zero for an empty cluster."""
    total = torch.zeros(len(cluster), k, x.shape[1], dtype=x.dtype, device=x.device)
    for each, into in zip(cluster, total, strict=True):
        into.index_add_(0, each, x)
    return F.normalize(total, dim=2)


def class_means(image: Tensor, label: Tensor, classes: int = -1) -> Tensor:
    """``(c, d)`` means of the classes 0 .. c - 1, zero for an empty class; -1 infers c from the labels."""
    one = F.one_hot(label, classes).to(image.dtype)
    return one.T @ image / one.sum(dim=0).clamp_min(1)[:, None]


def nearest_neighbours(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Cosines and indices ``(n, min(count, n - 1))`` of the nearest other rows."""
    count = min(count, len(x) - 1)
    found = []
    for start in range(0, len(x), 2048):
        cosine = x[start : start + 2048] @ x.T
        own = torch.arange(len(cosine), device=x.device)
        cosine[own, own + start] = float("-inf")
        found.append(cosine.topk(count, dim=1))
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def estimate_cluster_count(x: Tensor, names: int, cluster: Callable[[int], Tensor]) -> int:
    """Number of clusters, between 0.5 and 1.5 times the names, with the highest mean simplified silhouette.

    The silhouette of an image is 1 - a / b, with a its distance to its own cluster mean and b to the next one.
    """
    best, chosen = float("-inf"), names
    for k in sorted({max(2, round(names * share / 8)) for share in range(4, 13)}):
        distance = torch.cdist(x, cluster_means(x, cluster(k)[:1], k)[0])
        two = distance.topk(min(2, k), dim=1, largest=False).values
        value = float((1 - two[:, 0] / two[:, -1].clamp_min(1e-12)).mean())
        if value > best:
            best, chosen = value, k
    return chosen


def _class_sums(known: Support | None, x: Tensor) -> tuple[Tensor, Tensor]:
    """Sums ``(m, d)`` and sizes ``(m,)`` of the known classes."""
    if known is None or len(known.label) == 0:
        return x.new_zeros(0, x.shape[1]), x.new_zeros(0)
    one = F.one_hot(known.label).to(x.dtype)
    return one.T @ known.features[:, 0], one.sum(dim=0).clamp_min(1)


def _kmeans_plus_plus(x: Tensor, k: int, restarts: int, generator: torch.Generator) -> Tensor:
    """``(r, k, d)`` initial centres by greedy k-means++.

    Each step draws a few candidates with probability proportional to their squared distance to the chosen centres,
    and takes the one that minimises the total. A single candidate gives worse clusters.
    """
    few, restart = min(2 + int(math.log(k)), len(x)), torch.arange(restarts, device=x.device)
    chosen = [to_device(torch.randint(len(x), (restarts,), generator=generator), x.device)]
    square = x.square().sum(dim=1)  # a protocol may give rows of any length
    distance = square[chosen[0]][:, None] + square - 2 * x[chosen[0]] @ x.T
    for _ in range(k - 1):
        drawn = _sample_columns(distance.clamp_min(1e-9), few, generator)
        left = torch.minimum(distance[:, None], square[drawn][..., None] + square - 2 * x[drawn] @ x.T)
        best = left.sum(dim=2).argmin(dim=1)
        distance, drawn = left[restart, best], drawn[restart, best]
        chosen.append(drawn)
    return x[torch.stack(chosen, dim=1)]


def _sample_columns(weight: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``(r, count)`` columns drawn without replacement, with probability proportional to the weights ``(r, n)``.

    The algorithm of ``torch.multinomial`` (Efraimidis and Spirakis, 2006), with a CPU generator on any device.
    """
    waiting = torch.empty(weight.shape, dtype=weight.dtype).exponential_(generator=generator)
    return (weight / to_device(waiting, weight.device)).topk(count, dim=1).indices


def _lloyd(x: Tensor, centre: Tensor, fixed: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from the centres ``(r, k, d)``: clusters ``(r, n)`` and inertias ``(r,)``."""
    (r, k, _), one = centre.shape, x.new_ones(len(x))
    centre = torch.cat([centre, (fixed / weight[:, None]).expand(r, -1, -1)], dim=1)
    before = None
    for _ in range(ITERATIONS):
        cluster = _distances(x, centre).argmin(dim=2)
        if before is not None and torch.equal(cluster, before):
            break
        before = cluster
        total, count = torch.zeros_like(centre), centre.new_zeros(centre.shape[:2])
        total[:, k:], count[:, k:] = fixed, weight
        for each, into, number in zip(cluster, total, count, strict=True):
            into.index_add_(0, each, x)
            number.index_add_(0, each, one)  # torch.bincount would synchronise with the device
        centre = torch.where(count[..., None] > 0, total / count.clamp_min(1)[..., None], centre)
    distance, cluster = _distances(x, centre[:, :k]).min(dim=2)
    return cluster, distance.sum(dim=1)


def _distances(x: Tensor, centre: Tensor) -> Tensor:
    """``(r, n, k)`` squared distances."""
    return x.square().sum(dim=1)[:, None] - 2 * x @ centre.transpose(1, 2) + centre.square().sum(dim=2)[:, None]
