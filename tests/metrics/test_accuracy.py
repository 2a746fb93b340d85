"""Accuracies and how they are combined, against definitions written out."""

from __future__ import annotations

import heapq
import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from harness.metrics import difference, h_mean, macro_f1, mean_std, top1, worst_decile
from harness.metrics.clusters import cluster_accuracy

from ..makers import few, fractions

accuracies = st.just(0.0) | st.floats(1e-6, 1)


@few
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_top1_is_the_share_of_equal_pairs(pairs: list[tuple[int, int]]) -> None:
    predicted, label = np.array(pairs).T
    assert top1(predicted, label) == sum(a == b for a, b in pairs) / len(pairs)


@pytest.mark.parametrize(
    ("predicted", "label"), [([], []), ([1, 2], [1]), ([1], [1, 2]), ([[1]], [[1]]), ([[1, 2]], [1, 2])]
)
def test_top1_refuses_nothing_and_unequal_shapes(predicted: list[int], label: list[int]) -> None:
    with pytest.raises(ValueError, match=r"no image|must be \(n,\)"):
        top1(np.array(predicted), np.array(label))


@few
@given(st.one_of(st.permutations([i / 50 for i in range(1, n)]) for n in (2, 10, 20, 21, 30, 31)), st.integers(0, 3))
def test_the_worst_decile_is_the_mean_of_the_least_tenth_of_the_known(known: list[float], none: int) -> None:
    tenth = max(n for n in (1, 2, 3) if n == 1 or n * 10 <= len(known))
    found = worst_decile([*known[:1], *[None] * none, *known[1:]])
    assert found == pytest.approx(statistics.fmean(heapq.nsmallest(tenth, known)))


@few
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1))
def test_macro_f1_is_that_of_scikit_learn_over_the_true_labels(pairs: list[tuple[int, int]]) -> None:
    predicted, label = np.array(pairs).T
    wanted = f1_score(label, predicted, average="macro", labels=np.unique(label))
    assert macro_f1(predicted, label) == pytest.approx(wanted)


@few
@given(accuracies, accuracies)
def test_h_mean_is_symmetric_and_lies_between_its_arguments(a: float, b: float) -> None:
    value = h_mean(a, b)
    assert value == h_mean(b, a)
    assert min(a, b) <= value * (1 + 1e-12)
    assert value <= max(a, b) * (1 + 1e-12)
    assert value <= (a + b) / 2 * (1 + 1e-12)


@few
@given(st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_h_mean_is_the_reciprocal_of_the_mean_reciprocal(a: float, b: float) -> None:
    assert h_mean(a, b) == pytest.approx(1 / ((1 / a + 1 / b) / 2))


def test_h_mean_of_a_zero_is_zero() -> None:
    assert h_mean(0, 0) == h_mean(0.7, 0) == h_mean(0, 0.7) == 0
    assert h_mean(0.1970, 0.4166) == pytest.approx(0.2675, abs=5e-5)  # OpenCLIP on Animals, Table 2


@few
@given(st.lists(fractions, min_size=2, max_size=8))
def test_mean_and_spread_are_those_of_a_sample(values: list[float]) -> None:
    mean, std = mean_std(values)
    assert mean == pytest.approx(statistics.fmean(values))
    assert std == pytest.approx(statistics.stdev(values), abs=1e-9)


def test_one_value_has_no_spread() -> None:
    assert mean_std([0.25]) == (0.25, 0.0)


@few
@given(st.lists(fractions, min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_means_depend_on_no_order_and_equal_values_do_not_deviate(values: list[float], shuffler: random.Random) -> None:
    expected = mean_std(values)
    assert mean_std(values[:1] * len(values)) == (values[0], 0.0)
    shuffler.shuffle(values)
    assert mean_std(values) == expected


def test_a_difference_has_neither_noise_nor_a_sign_of_zero() -> None:
    assert 0.3 - 0.1 != 0.2
    assert difference(0.3, 0.1) == 0.2
    assert str(difference(0.1 + 0.2, 0.3)) == str(difference(0.3, 0.1 + 0.2)) == "0.0"
    assert difference(0.23127, 0.23124) == 3e-05


def test_metrics_are_plain_floats() -> None:
    one = np.array([1])
    for value in (top1(one, one), cluster_accuracy(one, one), *mean_std([np.float64(0.5), 0.25]), h_mean(0.5, 0.5)):
        assert type(value) is float
        assert math.isfinite(value)
