"""All metrics of a cell, against counting written out."""

from __future__ import annotations

import collections
import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics.compute import accuracy_per_class, compute_metrics, right_answers

from ..makers import discovery_metrics, few
from .test_clusters import by_permutations


@few
@given(st.data(), st.integers(1, 4), st.integers(1, 3))
def test_metrics_equal_direct_counting(data: st.DataObject, oop: int, ip: int) -> None:
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
        wanted[f"{side}_class_std"] = statistics.pstdev([a for a in classes[side] if a is not None])
    both = [(p, y) for p, (_, y) in zip(joint["oop"], own["oop"], strict=True)]
    both += [(p, y + oop) for p, (_, y) in zip(joint["ip"], own["ip"], strict=True)]
    wanted["joint_macro_f1"] = statistics.fmean(f1(both, c) for c in {y for _, y in both})

    names, only_oop = {"oop": oop, "ip": ip}, {"oop": predicted["oop"]}
    values = compute_metrics(predicted | {"reference": np.array(before)}, label, names)
    assert values == pytest.approx(wanted, abs=1e-12)
    assert accuracy_per_class(predicted, label, names) == classes
    alone = compute_metrics(only_oop, label, names)
    assert alone == {key: values[key] for key in ("oop_top1", "oop_worst_decile", "oop_macro_f1", "oop_class_std")}
    assert accuracy_per_class(only_oop, label, names) == {"oop": classes["oop"]}
    assert "ip_retention" not in compute_metrics(predicted, label, names)


def test_the_gap_is_ip_minus_oop() -> None:
    label = {"oop": np.array([0, 0, 1, 1]), "ip": np.array([0, 0, 1, 1])}
    values = compute_metrics(
        {"oop_cluster": np.array([0, 1, 1, 1]), "ip_cluster": np.array([1, 1, 0, 0])}, label, {"oop": 2, "ip": 2}
    )
    assert (values["ip_cluster_acc"], values["oop_cluster_acc"], values["cluster_gap"]) == (1.0, 0.75, 0.25)
    assert (values["ip_cluster_nca"], values["oop_cluster_nca"], values["nca_gap"]) == (1.0, 0.5, 0.5)
    assert set(compute_metrics({"oop_cluster": label["oop"]}, label, {"oop": 2})) == {
        "oop_cluster_acc",
        "oop_cluster_nca",
    }


@few
@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 3)), min_size=1, max_size=25),
    st.permutations([-1, -1, 0, 1, 2, 3, 4]),
)
def test_discovery_metrics_equal_direct_counting(pairs: list[tuple[int, int]], order: list[int]) -> None:
    names = order[:4]
    cluster, label = np.array(pairs).T
    inside = [(c, y) for c, y in pairs if c >= 0]
    held = {c: collections.Counter(y for d, y in inside if d == c) for c, _ in inside}
    best = by_permutations(*np.array(inside).T) * len(inside) if inside else 0
    apt = [counts[names[c]] == max(counts.values()) for c, counts in held.items()]
    assert discovery_metrics(cluster, np.array(names), label) == pytest.approx(
        {
            "named_acc": sum(names[c] == y for c, y in inside) / len(pairs),
            "cluster_acc": best / len(pairs),
            "coverage": sum(names[c] >= 0 for c, _ in inside) / len(pairs),
            "matching_acc": sum(apt) / len(apt) if apt else 0.0,
        }
    )


@few
@given(st.data(), st.integers(1, 3), st.integers(1, 2), st.integers(1, 4))
def test_mixed_clusters_have_one_naming(data: st.DataObject, oop: int, ip: int, clusters: int) -> None:
    """Against every naming of clusters; of those that are best for all images, one is what is reported."""
    pairs = {
        side: data.draw(
            st.lists(st.tuples(st.integers(0, clusters - 1), st.integers(0, k - 1)), min_size=1, max_size=9)
        )
        for side, k in (("oop", oop), ("ip", ip))
    }
    cluster, label = ({side: np.array(drawn).T[i] for side, drawn in pairs.items()} for i in (0, 1))
    mixed = {f"joint_{side}_cluster": clusters_ for side, clusters_ in cluster.items()}
    names = {"oop": oop, "ip": ip}
    found = compute_metrics(mixed, label, names)
    right = {side: right_answers(f"joint_{side}_cluster", mixed, label, names) for side in label}
    assert (right["oop"].mean(), right["ip"].mean()) == (found["new_cluster_acc"], found["old_cluster_acc"])
    classes = [("oop", y) for y in range(oop)] + [("ip", y) for y in range(ip)] + [None] * clusters
    best: set[tuple[int, int]] = set()
    for naming in set(itertools.permutations(classes, clusters)):
        hits = tuple(sum(naming[c] == (side, y) for c, y in pairs[side]) for side in ("oop", "ip"))
        best = {hits} if not best or sum(hits) > sum(max(best, key=sum)) else best
        best |= {hits} if sum(hits) == sum(max(best, key=sum)) else set()
    n = {side: len(drawn) for side, drawn in pairs.items()}
    assert found["all_cluster_acc"] == pytest.approx(sum(max(best, key=sum)) / sum(n.values()))
    measured = (round(found["new_cluster_acc"] * n["oop"]), round(found["old_cluster_acc"] * n["ip"]))
    assert measured in best
