"""Every smooth measure on an example that is small enough to be computed by hand, and AUSUC from scores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.metrics.built_in import BUILT_IN
from harness.metrics.confidence import stored_confidence
from harness.metrics.metric import Answers


def answers(predicted: list[float], label: list[int] | None = None) -> Answers:
    return Answers(np.array(predicted), np.array([0] * len(predicted) if label is None else label))


def confidence(probabilities: list[float]) -> Answers:
    return answers(stored_confidence(np.array([math.log(p / (1 - p)) for p in probabilities])).tolist())


def value(metric: str, *given: Answers) -> float | None:
    return BUILT_IN[metric].function(*given)


OOP, IP = answers([3, 1]), answers([2, 0])
"""Margins: the first OOP image is above both IP images, the second above one."""


def test_the_gate_is_measured_pair_by_pair() -> None:
    right, wrong = 0, 1
    assert value("gate_auroc", OOP, IP) == pytest.approx(3 / 4)
    # An IP image counts where it is named rightly: that of margin 2 is below one OOP image, that of 0 below both.
    assert value("gate_oscr", OOP, IP, answers([right, wrong])) == pytest.approx(1 / 4)
    assert value("gate_oscr", OOP, IP, answers([wrong, right])) == pytest.approx(2 / 4)
    # Both must be named rightly: the OOP image of margin 3 and the IP image of margin 0 are one pair of four.
    assert value("joint_ausuc", OOP, IP, answers([right, wrong]), answers([wrong, right])) == pytest.approx(1 / 4)


def test_the_seen_unseen_curve_is_that_of_calibrated_stacking() -> None:
    """The areas from margins equal the accuracies of argmax while a number is subtracted from all IP scores."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 7, 90)  # 4 OOP names, then 3 IP names
    scores = rng.normal(size=(90, 7)) + 1.5 * np.eye(7)[label]
    oop = label < 4
    margin = scores[:, :4].max(axis=1) - scores[:, 4:].max(axis=1)
    ends = np.sort(margin)
    curve = []
    for bias in (ends[0] - 1, *(ends[1:] + ends[:-1]) / 2, ends[-1] + 1):
        right = np.where(np.arange(7) < 4, scores, scores + bias).argmax(axis=1) == label
        curve.append((right[~oop].mean(), right[oop].mean()))
    x, y = np.array(sorted(curve, key=lambda point: (point[0], -point[1]))).T
    rank = margin.argsort().argsort()
    own = scores[:, :4].argmax(axis=1), 4 + scores[:, 4:].argmax(axis=1)
    found = value(
        "joint_ausuc",
        *(answers(rank[side].tolist()) for side in (oop, ~oop)),
        *(Answers(names[side], label[side]) for names, side in zip(own, (oop, ~oop), strict=True)),
    )
    assert found == pytest.approx(np.trapezoid(y, x), abs=1e-12)


def test_confidence_is_measured_image_by_image() -> None:
    names, sure = answers([0, 1, 0]), confidence([0.9, 0.8, 0.6])
    assert value("oop_ece", names, sure) == pytest.approx((0.1 + 0.8 + 0.4) / 3, abs=0.0005)
    assert value("oop_aurc", names, sure) == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    # Precision is 1 at the first right prediction and 2/3 at the second, of three images.
    assert value("joint_micro_ap", *(answers([0]), answers([1, 0])), *(confidence([0.9]), confidence([0.8, 0.6]))) == (
        pytest.approx((1 + 2 / 3) / 3)
    )


def test_unevenness_is_the_deviation_of_accuracies() -> None:
    names = Answers(np.array([0, 0, 1, 9, 9, 9]), np.array([0, 0, 1, 1, 2, 2]))  # accuracies 1, 1/2 and 0
    assert value("oop_class_std", names) == pytest.approx(math.sqrt(1 / 6))
    # Groups of class 0 have 1 and 1, of class 1 1 and 0; class 2 is one group and does not count.
    assert value("oop_macro_std", names, answers([0, 1, 0, 1, 0, 0])) == pytest.approx((0 + 1 / 2) / 2)
