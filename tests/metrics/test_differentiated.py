"""Metrics with derivatives: values against plain code and scikit-learn, derivatives against slopes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics.confidence import (
    EVEN,
    STEPS,
    expected_calibration_error,
    micro_average_precision,
    probability,
    risk_coverage_area,
    stored_confidence,
)
from harness.metrics.derivative import Differentiated
from harness.metrics.feature_tree import leaves_by_class, tree_leaves
from harness.metrics.side_gate import gate_auroc, open_set_rate_area, seen_unseen_area
from harness.metrics.spread import class_deviation, subgroup_deviation

from ..makers import few

levels = st.integers(-6, 6)
"""Confidences of few values, so that many images are equally confident."""

answers = st.lists(st.tuples(levels, st.booleans()), min_size=1, max_size=9)


def stored(values: Sequence[int]) -> np.ndarray:
    return np.array([EVEN + STEPS * value // 2 for value in values], dtype=np.int64)


def columns(pairs: Sequence[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return stored([c for c, _ in pairs]), np.array([yes for _, yes in pairs])


# -- values ------------------------------------------------------------------------------------------------------------


@few
@given(st.lists(st.floats(-120, 120), min_size=1, max_size=20))
def test_a_stored_confidence_is_the_probability_up_to_half_a_thousandth(log_odds: list[float]) -> None:
    exact = [1 / (1 + math.exp(-value)) for value in log_odds]
    kept = stored_confidence(np.array(log_odds))
    assert kept.dtype == np.uint16
    assert probability(kept) == pytest.approx(exact, abs=0.0005)


def test_confidences_beyond_the_range_are_its_ends() -> None:
    assert stored_confidence(np.array([-np.inf, -1e9, 1e9, np.inf])).tolist() == [0, 0, 2 * EVEN - 1, 2 * EVEN - 1]


@few
@given(answers)
def test_calibration_error_equals_counting_by_bins(pairs: list[tuple[int, bool]]) -> None:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for value, yes in pairs:
        p = 1 / (1 + math.exp(-value / 2))
        (number,) = (b for b in range(15) if b / 15 < p <= (b + 1) / 15)
        bins.setdefault(number, []).append((p, yes))
    n = len(pairs)
    wanted = sum(
        len(those) / n * abs(sum(yes for _, yes in those) / len(those) - sum(p for p, _ in those) / len(those))
        for those in bins.values()
    )
    assert expected_calibration_error(*columns(pairs)).value == pytest.approx(wanted, rel=1e-12, abs=1e-15)


@few
@given(st.lists(st.tuples(st.integers(-2, 2), st.booleans()), min_size=1, max_size=6))
def test_risk_coverage_area_is_the_mean_over_orders_of_equal_confidences(pairs: list[tuple[int, bool]]) -> None:
    def area(order: Sequence[int]) -> float:
        wrong = [not pairs[i][1] for i in order]
        return sum(sum(wrong[: i + 1]) / (i + 1) for i in range(len(wrong))) / len(wrong)

    sorted_orders = [
        order
        for order in itertools.permutations(range(len(pairs)))
        if all(pairs[a][0] >= pairs[b][0] for a, b in itertools.pairwise(order))
    ]
    wanted = sum(map(area, sorted_orders)) / len(sorted_orders)
    assert risk_coverage_area(*columns(pairs)).value == pytest.approx(wanted, rel=1e-12)


@few
@given(answers)
def test_micro_average_precision_is_scikit_learns_times_accuracy(pairs: list[tuple[int, bool]]) -> None:
    from sklearn.metrics import average_precision_score

    confidence, right = columns(pairs)
    wanted = average_precision_score(right, confidence) * right.mean() if right.any() else 0.0
    assert micro_average_precision(confidence, right).value == pytest.approx(wanted, rel=1e-12)


sides = st.tuples(
    st.lists(st.tuples(levels, st.booleans()), min_size=1, max_size=7),
    st.lists(st.tuples(levels, st.booleans()), min_size=1, max_size=7),
)


@few
@given(sides)
def test_margins_of_any_size_have_the_area_of_their_ranks(drawn: tuple[list[tuple[int, bool]], ...]) -> None:
    u, v = (np.array([margin for margin, _ in side]) for side in drawn)
    found, ranked = gate_auroc(u * 10**15 - 10**17, v * 10**15 - 10**17), gate_auroc(u + 6, v + 6)
    assert found.value == ranked.value
    assert [part.tolist() for part in found.derivatives] == [part.tolist() for part in ranked.derivatives]


@few
@given(sides)
def test_areas_over_biases_equal_the_curves_of_scikit_learn(drawn: tuple[list[tuple[int, bool]], ...]) -> None:
    from sklearn.metrics import auc, roc_auc_score

    (u, b), (v, c) = (tuple(np.array(column) for column in zip(*side, strict=True)) for side in drawn)
    of_oop = np.concatenate([np.ones(len(u)), np.zeros(len(v))])
    assert gate_auroc(u, v).value == pytest.approx(roc_auc_score(of_oop, np.concatenate([u, v])), rel=1e-12)
    thresholds = np.arange(-7, 8) + 0.5
    oop_share = np.array([(u > t).mean() for t in thresholds])
    oop_accuracy = np.array([(b * (u > t)).mean() for t in thresholds])
    ip_accuracy = np.array([(c * (v < t)).mean() for t in thresholds])
    # IP accuracy over OOP images taken for IP ones, and OOP over IP accuracy, from one end of the bias to the other.
    assert open_set_rate_area(u, v, c).value == pytest.approx(auc(1 - oop_share, ip_accuracy), abs=1e-12)
    assert seen_unseen_area(u, v, b, c).value == pytest.approx(auc(ip_accuracy, oop_accuracy), abs=1e-12)


@few
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=20))
def test_deviations_equal_plain_ones(drawn: list[tuple[bool, int, int]]) -> None:
    def accuracy(those: list[bool]) -> float:
        return sum(those) / len(those)

    def deviation(values: list[float]) -> float:
        middle = sum(values) / len(values)
        return math.sqrt(sum((value - middle) ** 2 for value in values) / len(values))

    right, label, group = (np.array(column) for column in zip(*drawn, strict=True))
    classes = sorted({y for _, y, _ in drawn})
    wanted = deviation([accuracy([r for r, y, _ in drawn if y == c]) for c in classes])
    assert class_deviation(right, label).value == pytest.approx(wanted, abs=1e-12)
    within = []
    for c in classes:
        groups = sorted({g for _, y, g in drawn if y == c})
        if len(groups) > 1:
            within.append(deviation([accuracy([r for r, y, h in drawn if (y, h) == (c, g)]) for g in groups]))
    found = subgroup_deviation(right, label, group)
    assert (found is None) == (not within)
    if found is not None:
        assert found.value == pytest.approx(sum(within) / len(within), abs=1e-12)


# -- derivatives -------------------------------------------------------------------------------------------------------

N, TIMES = 60, 40
"""Images of a side, and how often each is repeated: one drawn more and one less is a small step then."""


def measures() -> dict[str, tuple[Callable[..., Differentiated | None], tuple[np.ndarray, ...], tuple[int, ...]]]:
    """Name -> a measure, its columns, and the side of each column."""
    rng = np.random.default_rng(0)
    confidence = EVEN + rng.integers(-800, 800, N) // 100 * 100
    right = rng.random(N) < probability(confidence) * 0.8
    margins = rng.integers(0, 40, N) + 15, rng.integers(0, 40, N)
    label, group = rng.integers(0, 4, N), rng.integers(0, 3, N)
    return {
        "ece": (expected_calibration_error, (confidence, right), (0, 0)),
        "aurc": (risk_coverage_area, (confidence, right), (0, 0)),
        "ap": (micro_average_precision, (confidence, right), (0, 0)),
        "ausuc": (seen_unseen_area, (*margins, right, rng.random(N) < 0.5), (0, 1, 0, 1)),
        "classes": (class_deviation, (right, label), (0, 0)),
        "groups": (subgroup_deviation, (right, label, group), (0, 0, 0)),
    }


@pytest.mark.parametrize("name", measures())
def test_derivatives_are_the_slopes_of_the_measure(name: str) -> None:
    """Drawing image i once more and image j once less changes the value by the difference of their derivatives."""
    measure, given_columns, of = measures()[name]
    once = [np.full(N, TIMES)] * 2

    def measured(times: Sequence[np.ndarray]) -> Differentiated:
        images = [np.repeat(np.arange(N), times[side]) for side in of]
        found = measure(*(column[at] for column, at in zip(given_columns, images, strict=True)))
        assert found is not None
        return found

    rng = np.random.default_rng(1)
    for side, derivative in enumerate(measured(once).derivatives):
        for i, j in (rng.choice(N, 2, replace=False) for _ in range(6)):
            step = np.bincount([i], minlength=N) - np.bincount([j], minlength=N)
            moved = [[once[s] + sign * step * (s == side) for s in (0, 1)] for sign in (1, -1)]
            slope = (measured(moved[0]).value - measured(moved[1]).value) / 2
            wanted = derivative[i * TIMES] - derivative[j * TIMES]
            assert N * TIMES * slope == pytest.approx(N * TIMES * wanted, abs=2e-3)


def test_first_order_replicates_spread_as_measuring_every_replicate_anew() -> None:
    rng = np.random.default_rng(2)
    n = 400
    confidence = EVEN + rng.integers(-900, 1500, n)
    right, oop_right, ip_right = (rng.random(n) < share for share in (0.7, 0.6, 0.5))
    oop, ip = rng.integers(0, 500, n) + 200, rng.integers(0, 500, n)
    found = {
        "aurc": risk_coverage_area(confidence, right),
        "ap": micro_average_precision(confidence, right),
        "ausuc": seen_unseen_area(oop, ip, oop_right, ip_right),
    }
    anew: dict[str, list[float]] = {name: [] for name in found}
    first: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(300):
        a, b = rng.integers(0, n, n), rng.integers(0, n, n)
        anew["aurc"].append(risk_coverage_area(confidence[a], right[a]).value)
        anew["ap"].append(micro_average_precision(confidence[a], right[a]).value)
        anew["ausuc"].append(seen_unseen_area(oop[a], ip[b], oop_right[a], ip_right[b]).value)
        for name, own in found.items():
            counts = [np.bincount(draw, minlength=n) - 1 for draw in (a, b)]
            change = sum(float(w @ d) for w, d in zip(counts, own.derivatives, strict=False))
            first[name].append(own.value + change)
    for name in found:
        assert np.std(first[name]) == pytest.approx(np.std(anew[name]), rel=0.07), name
        assert np.corrcoef(first[name], anew[name])[0, 1] > 0.99, name


# -- groups by features ------------------------------------------------------------------------------------------------


def test_a_tree_splits_along_the_widest_direction_first() -> None:
    rng = np.random.default_rng(0)
    far, near = np.repeat([0, 1], 40), np.tile([0, 1], 40)
    rows = rng.normal(size=(80, 5)) * 0.1
    rows[:, 0] += 10 * far
    rows[:, 1] += 3 * near
    leaf = tree_leaves(rows, 2, smallest=2)
    assert len({tuple(pair) for pair in zip(far, leaf >> 1, strict=True)}) == 2
    assert len({tuple(pair) for pair in zip(far, near, leaf, strict=True)}) == 4
    assert (tree_leaves(rows, 2, smallest=81) == 0).all()
    assert (tree_leaves(np.ones((9, 3)), 6, smallest=2) == 0).all(), "equal images are not split"
    order = rng.permutation(80)
    assert (tree_leaves(rows[order], 2, smallest=2) == leaf[order]).all()


def test_classes_are_split_one_by_one() -> None:
    rng = np.random.default_rng(0)
    rows, label = rng.normal(size=(60, 8)), np.repeat([0, 1, 2], [30, 20, 10])
    leaf = leaves_by_class(rows, label, 2, smallest=15)
    assert [len(np.unique(leaf[label == c])) for c in (1, 2)] == [2, 1]
    assert (leaf[:30] == tree_leaves(rows[:30], 2, smallest=15)).all()
