"""The table of built-in metrics: one entry each, in the order of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

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
from harness.metrics.confidence import expected_calibration_error, micro_average_precision, risk_coverage_area
from harness.metrics.derivative import Differentiated
from harness.metrics.metric import Answers, Metric, Resampling, each, pooled, value_of
from harness.metrics.prediction_kinds import Columns
from harness.metrics.side_gate import gate_auroc, open_set_rate_area, seen_unseen_area
from harness.metrics.spread import class_deviation, subgroup_deviation


def _retention(now: float, before: float) -> float | None:
    return now / before if before > 0 else None


def _of_pool(measure: Callable[[Columns, Columns, Columns], float]) -> Callable[[Answers, Answers], float]:
    return lambda cluster, name: measure(cluster.predicted, name.predicted, cluster.label)


def _under_common_naming(own: Answers, other: Answers) -> float:
    return top1(common_naming(own, other), own.label)


def _right(answers: Answers) -> NDArray[np.bool_]:
    return np.asarray(answers.predicted == answers.label)


def _with_confidence(
    measure: Callable[[Columns, NDArray[np.bool_]], Differentiated],
) -> Callable[..., Differentiated]:
    """Of names, and their confidences in the same order, of one side or of both together."""

    def function(*answers: Answers) -> Differentiated:
        names, confidences = answers[: len(answers) // 2], answers[len(answers) // 2 :]
        if len(names) == 1:
            return measure(confidences[0].predicted, _right(names[0]))
        right = np.concatenate([_right(of_side) for of_side in names])
        found = measure(np.concatenate([of_side.predicted for of_side in confidences]), right)
        ends = np.cumsum([len(of_side.label) for of_side in names])
        return found._replace(derivatives=tuple(np.split(found.derivatives[0], ends[:-1])))

    return function


def _class_deviation(names: Answers) -> Differentiated:
    return class_deviation(_right(names), names.label)


def _subgroup_deviation(names: Answers, group: Answers) -> Differentiated | None:
    return subgroup_deviation(_right(names), names.label, group.predicted)


def _auroc(oop: Answers, ip: Answers) -> Differentiated:
    return gate_auroc(oop.predicted, ip.predicted)


def _oscr(oop: Answers, ip: Answers, ip_names: Answers) -> Differentiated:
    return open_set_rate_area(oop.predicted, ip.predicted, _right(ip_names))


def _ausuc(oop: Answers, ip: Answers, oop_names: Answers, ip_names: Answers) -> Differentiated:
    return seen_unseen_area(oop.predicted, ip.predicted, _right(oop_names), _right(ip_names))


def _smooth(
    name: str,
    heading: str,
    axis: str,
    meaning: str,
    needs: tuple[str, ...],
    measure: Callable[..., Differentiated | None],
    higher_is_better: bool = True,
) -> Metric:
    """The metric of a measure that has derivatives."""
    resampling = Resampling(derivatives=measure)
    return Metric(name, heading, axis, meaning, needs, value_of(measure), resampling, higher_is_better)


OWN, JOINT, OF_ZERO_SHOT = ("oop", "ip"), ("joint_oop", "joint_ip"), ("ip", "reference")
POOL = ("pool_cluster", "cluster_name")
JOINT_CONFIDENCE = ("joint_oop_confidence", "joint_ip_confidence")
MARGINS, OWN_NAMES = ("oop_margin", "ip_margin"), ("joint_oop_own", "joint_ip_own")
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
    # How well scores tell the sides apart among all names, at every bias towards one of them.
    _smooth("joint_ausuc", "AUSUC", "AUSUC", "area under OOP against IP accuracy among all names, over all biases",
            (*MARGINS, *OWN_NAMES), _ausuc),
    _smooth("gate_auroc", "gate AUROC", "AUROC of OOP against IP images",
            "how often an OOP image leans more to OOP names than an IP image does", MARGINS, _auroc),
    _smooth("gate_oscr", "gate OSCR", "OSCR of IP images",
            "area under IP accuracy against OOP images taken for IP, over all biases",
            (*MARGINS, OWN_NAMES[1]), _oscr),
    # How well confidence agrees with being right.
    _smooth("joint_micro_ap", "joint microAP", "micro average precision among all names",
            "average precision of all predictions among all names, the most confident first (GAP)",
            (*JOINT, *JOINT_CONFIDENCE), _with_confidence(micro_average_precision)),
    _smooth("oop_ece", "OOP ECE", "OOP calibration error", "expected calibration error of OOP images among OOP names",
            ("oop", "oop_confidence"), _with_confidence(expected_calibration_error), False),
    _smooth("ip_ece", "IP ECE", "IP calibration error", "expected calibration error of IP images among IP names",
            ("ip", "ip_confidence"), _with_confidence(expected_calibration_error), False),
    _smooth("joint_ece", "joint ECE", "calibration error among all names",
            "expected calibration error of all images among all names",
            (*JOINT, *JOINT_CONFIDENCE), _with_confidence(expected_calibration_error), False),
    _smooth("oop_aurc", "OOP AURC", "OOP risk over coverage",
            "error of OOP images among OOP names, mean over all shares of the most confident ones",
            ("oop", "oop_confidence"), _with_confidence(risk_coverage_area), False),
    _smooth("ip_aurc", "IP AURC", "IP risk over coverage",
            "error of IP images among IP names, mean over all shares of the most confident ones",
            ("ip", "ip_confidence"), _with_confidence(risk_coverage_area), False),
    _smooth("joint_aurc", "joint AURC", "risk over coverage among all names",
            "error of all images among all names, mean over all shares of the most confident ones",
            (*JOINT, *JOINT_CONFIDENCE), _with_confidence(risk_coverage_area), False),
    # How evenly it is right.
    _smooth("oop_class_std", "OOP class std", "OOP deviation over classes",
            "standard deviation of OOP accuracy over classes", ("oop",), _class_deviation, False),
    _smooth("ip_class_std", "IP class std", "IP deviation over classes",
            "standard deviation of IP accuracy over classes", ("ip",), _class_deviation, False),
    _smooth("oop_macro_std", "OOP MacroStd", "OOP deviation within classes",
            "standard deviation of OOP accuracy over feature clusters of a class, mean over classes",
            ("oop", "oop_subgroup"), _subgroup_deviation, False),
    _smooth("ip_macro_std", "IP MacroStd", "IP deviation within classes",
            "standard deviation of IP accuracy over feature clusters of a class, mean over classes",
            ("ip", "ip_subgroup"), _subgroup_deviation, False),
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
