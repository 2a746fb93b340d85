"""Accuracy as a fraction 0..1, and how accuracies are combined."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def top1(predicted: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Share of images whose predicted label is right; n images, both arrays ``(n,)``.

    Raises:
        ValueError: no image, or arrays of different length.
    """
    _require_pairs(predicted, label)
    return float(np.count_nonzero(predicted == label)) / len(label)


def per_class_top1(
    predicted: NDArray[np.integer], label: NDArray[np.integer], classes: int
) -> tuple[float | None, ...]:
    """Top-1 accuracy of every class, None for a class without an image."""
    _require_pairs(predicted, label)
    images = np.bincount(label, minlength=classes)
    right = np.bincount(label[predicted == label], minlength=classes)
    return tuple(float(r) / int(n) if n else None for r, n in zip(right, images, strict=True))


def worst_decile(accuracies: Sequence[float | None]) -> float:
    """Mean accuracy of the worst tenth of the classes (at least one class)."""
    known = sorted(a for a in accuracies if a is not None)
    worst = known[: max(1, len(known) // 10)]
    return sum(worst) / len(worst)


def macro_f1(predicted: NDArray[np.integer], label: NDArray[np.integer]) -> float:
    """Mean over the classes that have images of the harmonic mean of precision and recall; F1 is 0 without a hit.

    As the release's evaluator reports it: ``f1_score(average="macro", labels=np.unique(label))`` of scikit-learn.
    Classes that were predicted and have no image count in no mean, but cost the others their recall.

    Raises:
        ValueError: no image, or arrays of different length.
    """
    _require_pairs(predicted, label)
    size = int(max(predicted.max(), label.max())) + 1
    images, given = np.bincount(label, minlength=size), np.bincount(predicted, minlength=size)
    right = np.bincount(label[predicted == label], minlength=size)
    there = images > 0
    return float(np.mean(2 * right[there] / (images + given)[there]))


def judge(
    predicted: Mapping[str, NDArray[np.integer]],
    label: Mapping[str, NDArray[np.integer]],
    names: Mapping[str, int],
    reference: NDArray[np.integer] | None = None,
) -> tuple[dict[str, float], dict[str, tuple[float | None, ...]]]:
    """All metrics of a cell, and the accuracy of every class in its own side's vocabulary.

    Args:
        predicted: ``oop`` and, where they apply, ``ip``, ``joint_oop`` and ``joint_ip`` -> ``(n,)`` columns; in the
            joint vocabulary the OOP names come first.
        label: ``oop`` and ``ip`` -> ``(n,)`` labels within the side.
        names: ``oop`` and ``ip`` -> how many names there are.
        reference: zero-shot columns of the IP images, for IP retention.
    """
    values = {"oop_top1": top1(predicted["oop"], label["oop"])}
    classes = {"oop": per_class_top1(predicted["oop"], label["oop"], names["oop"])}
    values["oop_worst_decile"] = worst_decile(classes["oop"])
    values["oop_macro_f1"] = macro_f1(predicted["oop"], label["oop"])
    if "ip" not in predicted:
        return values, classes
    values["ip_top1"] = top1(predicted["ip"], label["ip"])
    classes["ip"] = per_class_top1(predicted["ip"], label["ip"], names["ip"])
    values["ip_macro_f1"] = macro_f1(predicted["ip"], label["ip"])
    values["h_mean"] = h_mean(values["oop_top1"], values["ip_top1"])
    if reference is not None and (before := top1(reference, label["ip"])) > 0:
        values["ip_retention"] = values["ip_top1"] / before
    in_joint = {"oop": label["oop"], "ip": label["ip"] + names["oop"]}
    for side in ("oop", "ip"):
        values[f"joint_{side}_top1"] = top1(predicted[f"joint_{side}"], in_joint[side])
    values["joint_h_mean"] = h_mean(values["joint_oop_top1"], values["joint_ip_top1"])
    everything = np.concatenate([predicted["joint_oop"], predicted["joint_ip"]])
    every_label = np.concatenate([in_joint["oop"], in_joint["ip"]])
    values["joint_top1"] = top1(everything, every_label)
    values["joint_macro_f1"] = macro_f1(everything, every_label)
    return values, classes


def h_mean(a: float, b: float) -> float:
    """Harmonic mean of two accuracies; 0 if both are 0."""
    return 2 * a * b / (a + b) if a + b > 0 else 0.0


def mean_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1; 0 for one value) of accuracies over seeds or domains.

    Sums are exact and rounded once, so neither depends on the order of the values. Equal values are their own mean, and
    deviate by 0.
    """
    if min(values) == max(values):
        return float(values[0]), 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def difference(a: float, b: float) -> float:
    """``a - b`` of two figures, to twelve decimals: below that lies the noise of binary fractions. Never -0."""
    return round(a - b, 12) + 0.0


def best_naming(cluster: NDArray[np.integer], label: NDArray[np.integer]) -> NDArray[np.int64]:
    """The label ``(n,)`` that every image gets from its cluster under the best one-to-one naming of clusters.

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
    """Normalised clustering accuracy (Gagolewski, *Normalised Clustering Accuracy*, J. Classification 2024).

    The best one-to-one naming by the mean share of a class, with one cluster for all at 0 and perfection at 1. Unlike
    plain accuracy it can be set beside that of data with another number of classes, or with classes of unequal size.
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


def judge_clusters(
    cluster: Mapping[str, NDArray[np.integer]], label: Mapping[str, NDArray[np.integer]]
) -> dict[str, float]:
    """How well the test images of each side cluster, and how much better the IP side does (Table 1).

    Args:
        cluster: ``oop`` and, where the data have it, ``ip`` -> ``(n,)`` cluster of every image.
        label: the same sides -> ``(n,)`` labels.
    """
    values = {f"{side}_cluster_acc": cluster_accuracy(cluster[side], label[side]) for side in cluster}
    values |= {f"{side}_cluster_nca": normalised_cluster_accuracy(cluster[side], label[side]) for side in cluster}
    if "ip" in cluster:
        values["cluster_gap"] = difference(values["ip_cluster_acc"], values["oop_cluster_acc"])
        values["nca_gap"] = difference(values["ip_cluster_nca"], values["oop_cluster_nca"])
    return values


def judge_mixed_clusters(
    cluster: Mapping[str, NDArray[np.integer]], label: Mapping[str, NDArray[np.integer]]
) -> dict[str, float]:
    """How well the mixed images of both sides cluster, and how well those of known (IP) and of new (OOP) classes.

    One best naming of the clusters, over all images, is judged on all and on either side (generalised category
    discovery, Vaze et al., CVPR 2022). The release's contrastive mean shift does so too; its script for plain k-means
    names the clusters anew for either side instead, which gives higher figures.

    Args:
        cluster: ``oop`` and ``ip`` -> ``(n,)`` cluster of every image; a number is the same cluster on both sides.
        label: the same sides -> ``(n,)`` labels.
    """
    right = right_of_mixed(cluster, label)
    return {
        "all_cluster_acc": float(np.concatenate([right["oop"], right["ip"]]).mean()),
        "old_cluster_acc": float(right["ip"].mean()),
        "new_cluster_acc": float(right["oop"].mean()),
    }


def right_of_mixed(
    cluster: Mapping[str, NDArray[np.integer]], label: Mapping[str, NDArray[np.integer]]
) -> dict[str, NDArray[np.bool_]]:
    """Side -> ``(n,)`` whether every image is right under the best naming of clusters over both sides."""
    labels = np.concatenate([label["oop"], label["ip"] + int(label["oop"].max(initial=-1)) + 1])
    right = best_naming(np.concatenate([cluster["oop"], cluster["ip"]]), labels) == labels
    return {"oop": right[: len(label["oop"])], "ip": right[len(label["oop"]) :]}


def judge_discovery(
    cluster: NDArray[np.integer], name: NDArray[np.integer], label: NDArray[np.integer]
) -> dict[str, float]:
    """What named clusters of a pool are worth.

    Args:
        cluster: ``(n,)`` cluster of each image, -1 for an image in none.
        name: ``(k,)`` name of each cluster, -1 for a cluster without.
        label: ``(n,)`` true names.

    Returns:
        ``named_acc``: share of images whose cluster has their name. ``cluster_acc``: share that would be right under
        the best naming of the clusters. ``coverage``: share whose cluster has a name. ``matching_acc``: share of the
        clusters with images that were given the name of most of their images. An image in no cluster is wrong.

    Raises:
        ValueError: no image, arrays of different length, or a cluster that there is not.
    """
    _require_pairs(cluster, label)
    if cluster.min() < -1 or cluster.max() >= len(name):
        raise ValueError(f"clusters are 0 to {len(name) - 1}, or -1")
    named = np.append(name, -1)[cluster]  # -1 stays -1
    counts = np.zeros((len(name), max(int(label.max()), int(name.max(initial=0))) + 1), dtype=np.int64)
    inside = cluster >= 0
    np.add.at(counts, (cluster[inside], label[inside]), 1)
    there = counts.any(axis=1)
    own = np.where(name >= 0, counts[np.arange(len(name)), name], -1)
    in_clusters = cluster_accuracy(cluster[inside], label[inside]) if inside.any() else 0.0
    return {
        "named_acc": float(np.mean(named == label)),
        "cluster_acc": in_clusters * float(inside.mean()),
        "coverage": float(np.mean(named >= 0)),
        "matching_acc": float(np.mean((own == counts.max(axis=1, initial=0))[there])) if there.any() else 0.0,
    }


def _contingency(
    cluster: NDArray[np.integer], label: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.integer]]:
    """Images of every (cluster, label) pair, each image's row, and the labels of the columns."""
    _require_pairs(cluster, label)
    clusters, row = np.unique(cluster, return_inverse=True)
    labels, column = np.unique(label, return_inverse=True)
    counts = np.zeros((len(clusters), len(labels)), dtype=np.int64)
    np.add.at(counts, (row, column), 1)
    return counts, row, labels


def _require_pairs(predicted: NDArray[np.integer], label: NDArray[np.integer]) -> None:
    if predicted.shape != label.shape or predicted.ndim != 1:
        raise ValueError(f"predictions {predicted.shape} and labels {label.shape} must be (n,) both")
    if len(label) == 0:
        raise ValueError("no image to score")
