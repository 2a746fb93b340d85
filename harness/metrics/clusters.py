"""How well clusters agree with labels, with and without names for the clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.metrics.accuracy import require_pairs, top1


def best_naming(cluster: NDArray[np.integer], label: NDArray[np.integer]) -> NDArray[np.int64]:
    """The label ``(n,)`` of every image's cluster under the best one-to-one naming of clusters.

    The counts of every (cluster, label) pair are matched by linear assignment; clusters beyond the number of labels
    name nothing: -1.

    Raises:
        ValueError: no image, or arrays of different length.
    """
    from scipy.optimize import linear_sum_assignment

    counts, row, labels = _contingency(cluster, label)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    name = np.full(len(counts), -1, dtype=np.int64)
    name[rows] = labels[columns]
    return name[row]


def cluster_accuracy(cluster: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Share of images that are right under the best one-to-one naming of clusters (permutation-free)."""
    return top1(best_naming(cluster, label), label)


def normalised_cluster_accuracy(cluster: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Normalised clustering accuracy (Gagolewski, J. Classification 2024).

    The best one-to-one naming by the mean share of a class, with one cluster for all at 0 and perfection at 1. Unlike
    plain accuracy it can be compared with that of data with another number of classes, or with classes of unequal size.
    One class alone is always found: 1.

    Raises:
        ValueError: no image, or arrays of different length.
    """
    from scipy.optimize import linear_sum_assignment

    counts, _, labels = _contingency(cluster, label)
    if len(labels) == 1:
        return 1.0
    shares = counts / counts.sum(axis=0)
    rows, columns = linear_sum_assignment(shares, maximize=True)
    return float((shares[rows, columns].sum() - 1) / (len(labels) - 1))


def common_naming(*parts: tuple[NDArray[np.integer], NDArray[np.integer]]) -> NDArray[np.int64]:
    """The label of each image of the first part under the best naming of all parts' clusters.

    So accuracy on known (IP) and on new (OOP) classes of mixed images is measured (generalised category discovery,
    Vaze et al., CVPR 2022), and by the release's contrastive mean shift. Its script for plain k-means names the
    clusters again for each side instead, which gives higher values.

    Args:
        parts: clusters and labels, ``(n,)`` each, in one numbering over all parts.
    """
    named = best_naming(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return named[: len(parts[0][0])]


def require_clusters(cluster: NDArray[np.integer], name: NDArray[np.integer], label: NDArray[np.integer]) -> None:
    """Check a pool's clusters ``(n,)`` and the clusters' names ``(k,)``; -1 for none in both.

    Raises:
        ValueError: no image, arrays of different length, or a cluster without a place among the names.
    """
    require_pairs(cluster, label)
    if name.ndim != 1:
        raise ValueError(f"names {name.shape} must be (k,)")
    if cluster.min() < -1 or cluster.max() >= len(name):
        raise ValueError(f"clusters are 0 to {len(name) - 1}, or -1")


def named_accuracy(cluster: NDArray[np.integer], name: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Share of a pool's images whose cluster has their name; an image in no cluster is wrong.

    Args:
        cluster: ``(n,)`` cluster of each image, -1 for an image in none.
        name: ``(k,)`` name of each cluster, -1 for a cluster without.
        label: ``(n,)`` true names.
    """
    return float(np.mean(_names(cluster, name) == label))


def pool_cluster_accuracy(cluster: NDArray[np.integer], name: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Share of a pool's images that would be right under the best naming; as ``named_accuracy``."""
    inside = cluster >= 0
    in_clusters = cluster_accuracy(cluster[inside], label[inside]) if inside.any() else 0.0
    return in_clusters * float(inside.mean())


def coverage(cluster: NDArray[np.integer], name: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Share of a pool's images whose cluster has a name; as ``named_accuracy``."""
    return float(np.mean(_names(cluster, name) >= 0))


def matching_accuracy(cluster: NDArray[np.integer], name: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Share of a pool's non-empty clusters with their majority's name; as ``named_accuracy``."""
    counts = np.zeros((len(name), max(int(label.max()), int(name.max(initial=0))) + 1), dtype=np.int64)
    inside = cluster >= 0
    np.add.at(counts, (cluster[inside], label[inside]), 1)
    there = counts.any(axis=1)
    own = np.where(name >= 0, counts[np.arange(len(name)), name], -1)
    return float(np.mean((own == counts.max(axis=1, initial=0))[there])) if there.any() else 0.0


def _names(cluster: NDArray[np.integer], name: NDArray[np.integer]) -> NDArray[np.integer]:
    """The name of each image's cluster, -1 for none."""
    return np.asarray(np.append(name, -1)[cluster])  # -1 takes the last


def _contingency(
    cluster: NDArray[np.integer], label: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.integer]]:
    """Images of every (cluster, label) pair, each image's row, and the labels of the columns."""
    require_pairs(cluster, label)
    clusters, row = np.unique(cluster, return_inverse=True)
    labels, column = np.unique(label, return_inverse=True)
    counts = np.zeros((len(clusters), len(labels)), dtype=np.int64)
    np.add.at(counts, (row, column), 1)
    return counts, row, labels
