"""All metrics of a cell, from its predictions and the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from harness.errors import PluginError
from harness.metrics.accuracy import per_class_top1
from harness.metrics.built_in import BUILT_IN
from harness.metrics.clusters import common_naming
from harness.metrics.metric import Answers, Metric
from harness.metrics.prediction_kinds import PREDICTIONS, Columns

Vectors = Mapping[str, Columns]
"""Kind of predictions, or side -> ``(n,)``."""


def compute_metrics(
    predicted: Vectors,
    labels: Vectors,
    names: Mapping[str, int],
    metrics: Mapping[str, Metric] = BUILT_IN,
    on_failure: Callable[[str], object] = lambda reason: None,
) -> dict[str, float]:
    """Every metric whose predictions a cell has.

    Args:
        predicted: by the keys of ``PREDICTIONS``.
        labels: ``oop``, ``ip`` and ``pool`` -> ``(n,)`` labels within the side; the pool's are of OOP names.
        names: ``oop`` and ``ip`` -> how many names there are.
        metrics: those to compute, by name.
        on_failure: called with the reason for every metric of a plugin that fails; it is left out.

    Raises:
        ValueError: no image, or predictions and labels of different length.
    """
    answers = {key: answers_of(key, predicted, labels, names) for key in PREDICTIONS if key in predicted}
    values: dict[str, float] = {}
    for name, metric in metrics.items():
        if answers.keys() >= set(metric.needs):
            try:
                value = metric.function(*(answers[key] for key in metric.needs))
            except PluginError as error:
                on_failure(error.message)
            else:
                values |= {} if value is None else {name: value}
    return values


def accuracy_per_class(
    predicted: Vectors, labels: Vectors, names: Mapping[str, int]
) -> dict[str, tuple[float | None, ...]]:
    """Side -> accuracy of every class among its own side's names; arguments as of ``compute_metrics``."""
    sides = [side for side in ("oop", "ip") if side in predicted]
    return {side: per_class_top1(predicted[side], labels[side], names[side]) for side in sides}


def answers_of(key: str, predicted: Vectors, labels: Vectors, names: Mapping[str, int]) -> Answers:
    """Predictions of one kind with their labels; among all names, IP labels come after the OOP names."""
    kind = PREDICTIONS[key]
    label = labels[kind.side]
    return Answers(predicted[key], label + names["oop"] if kind.joint and kind.side == "ip" else label)


def right_answers(key: str, predicted: Vectors, labels: Vectors, names: Mapping[str, int]) -> NDArray[np.bool_]:
    """Whether each image was answered rightly ``(n,)``, by its name or by the best naming of clusters.

    Of clusters of both sides together one naming is the best for all; ``predicted`` must hold both then.
    """
    kind, own = PREDICTIONS[key], answers_of(key, predicted, labels, names)
    if kind.holds == "names":
        return np.asarray(own.predicted == own.label)
    together = [own, *(answers_of(other, predicted, labels, names) for other in kind.named_with)]
    return np.asarray(common_naming(*together) == own.label)
