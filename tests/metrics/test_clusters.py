"""Agreement of clusters with labels, against every naming of the clusters."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics.clusters import best_naming, cluster_accuracy, normalised_cluster_accuracy

from ..makers import few

label_lists = st.lists(st.integers(0, 4), min_size=1, max_size=30)


def by_permutations(cluster: np.ndarray, label: np.ndarray) -> float:
    """The best naming found by trying all: pads the shorter side, so that every cluster is named or left out."""
    clusters, labels = sorted(set(cluster.tolist())), sorted(set(label.tolist()))
    size = max(len(clusters), len(labels))
    padded = labels + [-1 - i for i in range(size - len(labels))]
    best = 0
    for names in itertools.permutations(padded, len(clusters)):
        naming = dict(zip(clusters, names, strict=True))
        best = max(best, sum(naming[c] == y for c, y in zip(cluster.tolist(), label.tolist(), strict=True)))
    return best / len(label)


@few
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_cluster_accuracy_is_the_best_of_all_namings(pairs: list[tuple[int, int]]) -> None:
    cluster, label = np.array(pairs).T
    assert cluster_accuracy(cluster, label) == pytest.approx(by_permutations(cluster, label))


@few
@given(label_lists, st.permutations(range(5)))
def test_permuted_cluster_numbers_are_perfect(labels: list[int], permutation: list[int]) -> None:
    label = np.array(labels)
    assert cluster_accuracy(np.array(permutation)[label] * 7 - 3, label) == 1.0


def test_clusters_beyond_the_labels_count_as_wrong() -> None:
    label = np.zeros(10, dtype=int)
    assert cluster_accuracy(np.arange(10), label) == 0.1
    assert cluster_accuracy(label, np.arange(10)) == 0.1


@pytest.mark.parametrize(("cluster", "label"), [([], []), ([0], [0, 1, 1]), ([0, 1], [0])])
def test_cluster_accuracy_refuses_nothing_and_unequal_lengths(cluster: list[int], label: list[int]) -> None:
    with pytest.raises(ValueError, match=r"no image|must be \(n,\)"):
        cluster_accuracy(np.array(cluster, dtype=int), np.array(label, dtype=int))


@few
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=30))
def test_the_best_naming_is_one_to_one_and_as_good_as_it_says(pairs: list[tuple[int, int]]) -> None:
    cluster, label = np.array(pairs).T
    named = best_naming(cluster, label)
    names = {(c, n) for c, n in zip(cluster.tolist(), named.tolist(), strict=True)}
    assert len(names) == len(set(cluster.tolist())), "a cluster has one name"
    given_names = [n for _, n in names if n >= 0]
    assert len(given_names) == len(set(given_names)), "a name has one cluster"
    assert np.mean(named == label) == pytest.approx(by_permutations(cluster, label))


@few
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20))
def test_normalised_accuracy_is_the_best_mean_share_of_a_class_over_chance(pairs: list[tuple[int, int]]) -> None:
    cluster, label = np.array(pairs).T
    clusters, labels = sorted(set(cluster.tolist())), sorted(set(label.tolist()))
    padded = clusters + [-1] * max(0, len(labels) - len(clusters))
    best = max(
        sum(np.mean(cluster[label == y] == c) for y, c in zip(labels, order, strict=True)) / len(labels)
        for order in itertools.permutations(padded, len(labels))
    )
    k = len(labels)
    wanted = (best - 1 / k) / (1 - 1 / k) if k > 1 else 1.0
    assert normalised_cluster_accuracy(cluster, label) == pytest.approx(wanted)


def test_one_cluster_for_all_is_chance_whatever_the_sizes_of_the_classes() -> None:
    label = np.repeat([0, 1, 2], [90, 9, 1])
    assert cluster_accuracy(np.zeros(100, dtype=int), label) == 0.9
    assert normalised_cluster_accuracy(np.zeros(100, dtype=int), label) == pytest.approx(0.0)
