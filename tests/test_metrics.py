"""Accuracies and how they are combined, against definitions written out."""

from __future__ import annotations

import collections
import heapq
import itertools
import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from harness.metrics import (
    best_naming,
    cluster_accuracy,
    difference,
    h_mean,
    judge,
    judge_clusters,
    judge_discovery,
    judge_mixed_clusters,
    macro_f1,
    mean_std,
    normalised_cluster_accuracy,
    top1,
    worst_decile,
)

from .makers import few, fractions

accuracies = st.just(0.0) | st.floats(1e-6, 1)
label_lists = st.lists(st.integers(0, 4), min_size=1, max_size=30)


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
@given(st.data(), st.integers(1, 4), st.integers(1, 3))
def test_every_figure_of_a_cell_is_what_counting_gives(data: st.DataObject, oop: int, ip: int) -> None:
    def pairs(names: int, columns: int) -> list[tuple[int, int]]:
        one = st.tuples(st.integers(0, columns - 1), st.integers(0, names - 1))
        return data.draw(st.lists(one, min_size=1, max_size=12))

    def share(right: list[bool]) -> float:
        return sum(right) / len(right)

    def f1(pairs: list[tuple[int, int]], c: int) -> float:
        hits = sum(p == y == c for p, y in pairs)
        return 2 * hits / (sum(p == c for p, _ in pairs) + sum(y == c for _, y in pairs))

    own = {"oop": pairs(oop, oop), "ip": pairs(ip, ip)}
    label = {side: np.array([y for _, y in drawn]) for side, drawn in own.items()}
    predicted = {side: np.array([p for p, _ in drawn]) for side, drawn in own.items()}
    joint = {
        side: data.draw(st.lists(st.integers(0, oop + ip - 1), min_size=len(y), max_size=len(y)))
        for side, y in label.items()
    }
    predicted |= {f"joint_{side}": np.array(columns) for side, columns in joint.items()}
    before = data.draw(st.lists(st.integers(0, ip - 1), min_size=len(own["ip"]), max_size=len(own["ip"])))

    right = {side: [p == y for p, y in drawn] for side, drawn in own.items()}
    right["joint_oop"] = [p == y for p, (_, y) in zip(joint["oop"], own["oop"], strict=True)]
    right["joint_ip"] = [p - oop == y for p, (_, y) in zip(joint["ip"], own["ip"], strict=True)]
    wanted = {f"{key}_top1": share(those) for key, those in right.items()}
    wanted["joint_top1"] = share(right["joint_oop"] + right["joint_ip"])
    for h, a, b in (("h_mean", "oop_top1", "ip_top1"), ("joint_h_mean", "joint_oop_top1", "joint_ip_top1")):
        wanted[h] = statistics.harmonic_mean([wanted[a], wanted[b]])
    if zero_shot := share([p == y for p, (_, y) in zip(before, own["ip"], strict=True)]):
        wanted["ip_retention"] = wanted["ip_top1"] / zero_shot
    classes = {
        side: tuple(share(hits) if (hits := [p == y for p, y in own[side] if y == c]) else None for c in range(names))
        for side, names in (("oop", oop), ("ip", ip))
    }
    wanted["oop_worst_decile"] = min(a for a in classes["oop"] if a is not None)
    for side, pairs_ in own.items():
        wanted[f"{side}_macro_f1"] = statistics.fmean(f1(pairs_, c) for c in {y for _, y in pairs_})
    both = [(p, y) for p, (_, y) in zip(joint["oop"], own["oop"], strict=True)]
    both += [(p, y + oop) for p, (_, y) in zip(joint["ip"], own["ip"], strict=True)]
    wanted["joint_macro_f1"] = statistics.fmean(f1(both, c) for c in {y for _, y in both})

    values, per_class = judge(predicted, label, {"oop": oop, "ip": ip}, np.array(before))
    assert values == pytest.approx(wanted)
    assert per_class == classes
    alone, of_oop = judge({"oop": predicted["oop"]}, label, {"oop": oop, "ip": ip})
    assert alone == {key: values[key] for key in ("oop_top1", "oop_worst_decile", "oop_macro_f1")}
    assert of_oop == {"oop": per_class["oop"]}
    assert "ip_retention" not in judge(predicted, label, {"oop": oop, "ip": ip})[0]


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


def _by_permutations(cluster: np.ndarray, label: np.ndarray) -> float:
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
    assert cluster_accuracy(cluster, label) == pytest.approx(_by_permutations(cluster, label))


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


def test_metrics_are_plain_floats() -> None:
    one = np.array([1])
    for value in (top1(one, one), cluster_accuracy(one, one), *mean_std([np.float64(0.5), 0.25]), h_mean(0.5, 0.5)):
        assert type(value) is float
        assert math.isfinite(value)


@few
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=30))
def test_the_best_naming_is_one_to_one_and_as_good_as_it_says(pairs: list[tuple[int, int]]) -> None:
    cluster, label = np.array(pairs).T
    named = best_naming(cluster, label)
    names = {(c, n) for c, n in zip(cluster.tolist(), named.tolist(), strict=True)}
    assert len(names) == len(set(cluster.tolist())), "a cluster has one name"
    given_names = [n for _, n in names if n >= 0]
    assert len(given_names) == len(set(given_names)), "a name has one cluster"
    assert np.mean(named == label) == pytest.approx(_by_permutations(cluster, label))


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


def test_the_gap_is_ip_minus_oop() -> None:
    label = {"oop": np.array([0, 0, 1, 1]), "ip": np.array([0, 0, 1, 1])}
    values = judge_clusters({"oop": np.array([0, 1, 1, 1]), "ip": np.array([1, 1, 0, 0])}, label)
    assert (values["ip_cluster_acc"], values["oop_cluster_acc"], values["cluster_gap"]) == (1.0, 0.75, 0.25)
    assert (values["ip_cluster_nca"], values["oop_cluster_nca"], values["nca_gap"]) == (1.0, 0.5, 0.5)
    assert set(judge_clusters({"oop": label["oop"]}, label)) == {"oop_cluster_acc", "oop_cluster_nca"}


@few
@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 3)), min_size=1, max_size=25),
    st.permutations([-1, -1, 0, 1, 2, 3, 4]),
)
def test_what_was_discovered_is_what_counting_gives(pairs: list[tuple[int, int]], order: list[int]) -> None:
    names = order[:4]
    cluster, label = np.array(pairs).T
    inside = [(c, y) for c, y in pairs if c >= 0]
    held = {c: collections.Counter(y for d, y in inside if d == c) for c, _ in inside}
    best = _by_permutations(*np.array(inside).T) * len(inside) if inside else 0
    apt = [counts[names[c]] == max(counts.values()) for c, counts in held.items()]
    assert judge_discovery(cluster, np.array(names), label) == pytest.approx(
        {
            "named_acc": sum(names[c] == y for c, y in inside) / len(pairs),
            "cluster_acc": best / len(pairs),
            "coverage": sum(names[c] >= 0 for c, _ in inside) / len(pairs),
            "matching_acc": sum(apt) / len(apt) if apt else 0.0,
        }
    )


@few
@given(st.data(), st.integers(1, 3), st.integers(1, 2), st.integers(1, 4))
def test_mixed_clusters_are_judged_by_one_naming_of_all(data: st.DataObject, oop: int, ip: int, clusters: int) -> None:
    """Against every naming of clusters; of those that are best for all images, one is what is reported."""
    pairs = {
        side: data.draw(
            st.lists(st.tuples(st.integers(0, clusters - 1), st.integers(0, k - 1)), min_size=1, max_size=9)
        )
        for side, k in (("oop", oop), ("ip", ip))
    }
    cluster, label = ({side: np.array(drawn).T[i] for side, drawn in pairs.items()} for i in (0, 1))
    found = judge_mixed_clusters(cluster, label)
    classes = [("oop", y) for y in range(oop)] + [("ip", y) for y in range(ip)] + [None] * clusters
    best: set[tuple[int, int]] = set()
    for naming in set(itertools.permutations(classes, clusters)):
        hits = tuple(sum(naming[c] == (side, y) for c, y in pairs[side]) for side in ("oop", "ip"))
        best = {hits} if not best or sum(hits) > sum(max(best, key=sum)) else best
        best |= {hits} if sum(hits) == sum(max(best, key=sum)) else set()
    n = {side: len(drawn) for side, drawn in pairs.items()}
    assert found["all_cluster_acc"] == pytest.approx(sum(max(best, key=sum)) / sum(n.values()))
    told = (round(found["new_cluster_acc"] * n["oop"]), round(found["old_cluster_acc"] * n["ip"]))
    assert told in best
