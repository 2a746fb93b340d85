"""What a metric is: its words, the predictions that it needs, its function, and how it is resampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from harness.metrics import replicates
from harness.metrics.derivative import Differentiated
from harness.metrics.prediction_kinds import PREDICTIONS, Columns

LARGEST = 1e100
"""Largest magnitude of a metric: the variance of larger values is not a number."""


class Answers(NamedTuple):
    """Predictions of one kind, and the labels of the images of its side in the same numbering ``(n,)``."""

    predicted: Columns
    label: Columns


@dataclass(frozen=True)
class Resampling:
    """How a metric is computed in bootstrap replicates, from whether each image was answered rightly.

    Clusters keep their best naming on all images in every replicate. A metric of more than right and wrong answers has
    ``derivatives`` in place of ``measure`` and ``combine``.

    Attributes:
        measure: the value of one kind of predictions in every replicate.
        combine: from the values of all its kinds to the metric.
        kinds: kinds of predictions whose images are drawn, if not all that the metric needs.
        derivatives: the ``Answers`` of all kinds that the metric needs -> its value, or None where it is not defined,
            with a derivative for each of its ``sides``.
    """

    measure: replicates.Measure = replicates.top1
    combine: replicates.Combination = replicates.only
    kinds: tuple[str, ...] = ()
    derivatives: Callable[..., Differentiated | None] | None = None


@dataclass(frozen=True)
class Metric:
    """One metric of a cell, a fraction.

    A row has its mean and standard deviation over seeds in each domain; and of the means over domains, one for each
    seed, likewise. That is the same for all metrics.

    Attributes:
        name: in files and on the command line.
        heading: above a column; short.
        axis: at an axis of a figure, where it is alone.
        meaning: what is measured.
        needs: kinds of predictions, by the keys of ``PREDICTIONS``; a cell that lacks one has no such metric.
        function: the ``Answers`` of each of them, in that order -> the value, or None where it is not defined.
        resampling: None for a metric without intervals.
        higher_is_better: whether a row with more of it is ranked above one with less.
        summary: whether it is listed at the end of a run.
    """

    name: str
    heading: str
    axis: str
    meaning: str
    needs: tuple[str, ...]
    function: Callable[..., float | None]
    resampling: Resampling | None = None
    higher_is_better: bool = True
    summary: bool = False

    def __post_init__(self) -> None:
        drawn = () if self.resampled is None else self.resampled.kinds
        if unknown := {*self.needs, *drawn} - PREDICTIONS.keys():
            raise ValueError(f"metric {self.name}: no kind of predictions is named {', '.join(sorted(unknown))}")
        if any(not PREDICTIONS[key].scored for key in drawn):
            raise ValueError(f"metric {self.name}: only scored images are drawn again, not those of a pool")

    @property
    def sides(self) -> tuple[str, ...]:
        """Whose images decide it, in the order of its needs: ``oop``, ``ip`` or ``pool``."""
        return tuple(dict.fromkeys(PREDICTIONS[key].side for key in self.needs))

    @property
    def resampled(self) -> Resampling | None:
        """Its resampling with the kinds of predictions written out."""
        return self.resampling and replace(self.resampling, kinds=self.resampling.kinds or self.needs)


def pooled(measure: Callable[[Columns, Columns], float]) -> Callable[..., float]:
    """The function of a metric that is measured over all images of the needed kinds together."""

    def function(*answers: Answers) -> float:
        return measure(*(np.concatenate(columns) for columns in zip(*answers, strict=True)))

    return function


def each(
    measure: Callable[[Columns, Columns], float], combine: Callable[[float, float], float | None]
) -> Callable[[Answers, Answers], float | None]:
    """The function of a metric that combines the values of two kinds."""

    def function(one: Answers, other: Answers) -> float | None:
        return combine(measure(*one), measure(*other))

    return function


def value_of(measure: Callable[..., Differentiated | None]) -> Callable[..., float | None]:
    """The function of a metric that has derivatives."""

    def function(*answers: Answers) -> float | None:
        found = measure(*answers)
        return None if found is None else found.value

    return function
