"""The table of built-in metrics: one entry each, in the order of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.metrics import replicates
from harness.metrics.accuracy import difference, h_mean, macro_f1, top1, worst_decile_top1
from harness.metrics.clusters import (
    cluster_accuracy,
    common_naming,
    coverage,
    matching_accuracy,
    named_accuracy,
    normalised_cluster_accuracy,
    pool_cluster_accuracy,
)
from harness.metrics.metric import Answers, Metric, Resampling, each, pooled
from harness.metrics.prediction_kinds import Columns


def _retention(now: float, before: float) -> float | None:
    return now / before if before > 0 else None


def _of_pool(measure: Callable[[Columns, Columns, Columns], float]) -> Callable[[Answers, Answers], float]:
    return lambda cluster, name: measure(cluster.predicted, name.predicted, cluster.label)


def _under_common_naming(own: Answers, other: Answers) -> float:
    return top1(common_naming(own, other), own.label)


OWN, JOINT, OF_ZERO_SHOT = ("oop", "ip"), ("joint_oop", "joint_ip"), ("ip", "reference")
POOL = ("pool_cluster", "cluster_name")
BOTH_CLUSTERS, MIXED = ("ip_cluster", "oop_cluster"), ("joint_oop_cluster", "joint_ip_cluster")
H_MEAN, POOLED = Resampling(combine=replicates.h_mean), Resampling(combine=replicates.pooled)
RATIO, DIFFERENCE = Resampling(combine=replicates.ratio), Resampling(combine=replicates.difference)

_BY_NAMING = "that the best naming of their clusters gets right"
_NCA = "the same by class, and with chance at 0"

# fmt: off
BUILT_IN = {metric.name: metric for metric in (
    # How well scored images are named.
    Metric("oop_top1", "OOP", "OOP top-1", "OOP images among OOP names",
           ("oop",), pooled(top1), Resampling(), summary=True),
    Metric("ip_top1", "IP", "IP top-1", "IP images among IP names",
           ("ip",), pooled(top1), Resampling(), summary=True),
    Metric("h_mean", "H-mean", "H-mean of OOP and IP", "harmonic mean of OOP and IP",
           OWN, each(top1, h_mean), H_MEAN, summary=True),
    Metric("joint_oop_top1", "joint OOP", "OOP top-1 among all names", "OOP images among all names",
           ("joint_oop",), pooled(top1), Resampling()),
    Metric("joint_ip_top1", "joint IP", "IP top-1 among all names", "IP images among all names",
           ("joint_ip",), pooled(top1), Resampling()),
    Metric("joint_h_mean", "joint H", "H-mean among all names", "harmonic mean of joint OOP and joint IP",
           JOINT, each(top1, h_mean), H_MEAN, summary=True),
    Metric("joint_top1", "joint", "top-1 of all images among all names", "all images among all names",
           JOINT, pooled(top1), POOLED),
    Metric("ip_retention", "IP retention", "IP accuracy over zero-shot's", "IP accuracy over zero-shot's",
           OF_ZERO_SHOT, each(top1, _retention), RATIO),
    Metric("oop_worst_decile", "OOP worst", "OOP, worst tenth of the classes",
           "mean of the worst tenth of the OOP classes",
           ("oop",), pooled(worst_decile_top1), Resampling(replicates.worst_decile)),
    Metric("oop_macro_f1", "OOP F1", "OOP macro F1", "F1 of OOP images among OOP names, mean over classes",
           ("oop",), pooled(macro_f1)),
    Metric("ip_macro_f1", "IP F1", "IP macro F1", "F1 of IP images among IP names, mean over classes",
           ("ip",), pooled(macro_f1)),
    Metric("joint_macro_f1", "joint F1", "macro F1 among all names", "F1 among all names, mean over classes",
           JOINT, pooled(macro_f1)),
    # What a method discovers in its unlabeled pool.
    Metric("named_acc", "pool named", "named accuracy in the pool",
           "images of the unlabeled pool whose cluster has their name",
           POOL, _of_pool(named_accuracy), summary=True),
    Metric("cluster_acc", "pool clusters", "cluster accuracy in the pool",
           "images of the pool that the best naming of the clusters would get right",
           POOL, _of_pool(pool_cluster_accuracy), summary=True),
    Metric("coverage", "covered", "share of the pool in a named cluster", "images of the pool whose cluster has a name",
           POOL, _of_pool(coverage), summary=True),
    Metric("matching_acc", "matching", "share of clusters with their majority's name",
           "clusters of the pool that have the name of most of their images",
           POOL, _of_pool(matching_accuracy), summary=True),
    # How well the test images of each side cluster without names (protocol `clustering`).
    Metric("ip_cluster_acc", "IP clusters", "IP cluster accuracy", f"IP images {_BY_NAMING}",
           ("ip_cluster",), pooled(cluster_accuracy), Resampling(), summary=True),
    Metric("oop_cluster_acc", "OOP clusters", "OOP cluster accuracy", f"OOP images {_BY_NAMING}",
           ("oop_cluster",), pooled(cluster_accuracy), Resampling(), summary=True),
    Metric("cluster_gap", "cluster gap", "IP minus OOP cluster accuracy", "IP clusters minus OOP clusters",
           BOTH_CLUSTERS, each(cluster_accuracy, difference), DIFFERENCE, higher_is_better=False, summary=True),
    Metric("ip_cluster_nca", "IP NCA", "IP cluster accuracy, chance at 0", f"IP clusters, {_NCA}",
           ("ip_cluster",), pooled(normalised_cluster_accuracy)),
    Metric("oop_cluster_nca", "OOP NCA", "OOP cluster accuracy, chance at 0", f"OOP clusters, {_NCA}",
           ("oop_cluster",), pooled(normalised_cluster_accuracy)),
    Metric("nca_gap", "NCA gap", "IP minus OOP cluster accuracy, chance at 0", "IP NCA minus OOP NCA",
           BOTH_CLUSTERS, each(normalised_cluster_accuracy, difference), higher_is_better=False),
    # How well mixed IP and OOP images cluster, by one naming of all (protocol `discovery`).
    Metric("all_cluster_acc", "all", "cluster accuracy of mixed images", f"mixed IP and OOP images {_BY_NAMING}",
           MIXED, pooled(cluster_accuracy), POOLED, summary=True),
    Metric("old_cluster_acc", "old (IP)", "cluster accuracy of IP images", "IP images under the same naming",
           MIXED[::-1], _under_common_naming, Resampling(kinds=MIXED[1:]), summary=True),
    Metric("new_cluster_acc", "new (OOP)", "cluster accuracy of OOP images", "OOP images under the same naming",
           MIXED, _under_common_naming, Resampling(kinds=MIXED[:1]), summary=True),
)}
# fmt: on

HEADLINES = ("h_mean", "oop_top1", "oop_cluster_acc", "all_cluster_acc")
"""What a setting is shown by at first: without IP folders there is no harmonic mean, without names no accuracy."""


def in_table_order(names: Iterable[str]) -> list[str]:
    """Names of metrics in the order of tables; those of plugins come last, by name."""
    names = set(names)
    return [*(name for name in BUILT_IN if name in names), *sorted(names - BUILT_IN.keys())]
