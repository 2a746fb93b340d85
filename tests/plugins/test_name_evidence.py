"""The evidence of clusters on names, against plain numpy in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

from harness.types.task import Support
from harness_plugins._anchor import known_names
from harness_plugins._feature_transforms import mean_shift, whitening
from harness_plugins._name_evidence import name_evidence
from harness_plugins._pseudo_labels import pseudo_labels_from_evidence
from harness_plugins._purity import known_purity, restart_agreement, same_label_rate

from ..makers import unit_rows

SIZE = 24


def softmax(rows):
    weight = np.exp(rows - rows.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)


def balanced(rows):
    plan = np.exp(rows - rows.max())
    for _ in range(30):
        plan *= len(plan) / plan.shape[1] / plan.sum(axis=0)
        plan /= plan.sum(axis=1, keepdims=True)
    return plan


def plain_evidence(logits, cluster, k, purity, rounds):
    """Posterior, matched share, weight and number of matchings."""
    moved, names, number = logits, logits.shape[1], 0
    while number < rounds:
        number += 1
        plan, own, matched = balanced(moved), np.zeros_like(logits), []
        for each in cluster:
            share = np.stack([plan[each == c].mean(axis=0) if (each == c).any() else np.zeros(names) for c in range(k)])
            cosine = share / np.maximum(np.linalg.norm(share, axis=1, keepdims=True), 1e-12)
            matched += share[linear_sum_assignment(cosine, maximize=True)].tolist()
            own += share[each] / len(cluster)
        weight = max(1, np.mean(matched) / (1 - purity))
        moved = logits + weight * np.log(names * own)
        if purity <= 1 / 2 or np.mean(matched) <= purity / 2:
            break
    return softmax(moved), np.mean(matched), weight, number


@pytest.mark.parametrize(("k", "names"), [(5, 5), (3, 5), (5, 3)])
@pytest.mark.parametrize(("scale", "rounds", "purity"), [(1.0, 4, 0.7), (12.0, 4, 0.7), (12.0, 1, 0.7), (12.0, 4, 0.4)])
def test_evidence_matches_formula(k, names, scale, rounds, purity):
    rng = np.random.default_rng(3)
    label = rng.integers(0, k, 80)
    logits = scale * (rng.normal(size=(k, names))[label] + 0.3 * rng.normal(size=(80, names)))
    cluster = np.stack([np.where(rng.random(80) < 0.8, label, rng.integers(0, k, 80)) for _ in range(3)])
    found = name_evidence(torch.tensor(logits), torch.tensor(cluster), k, purity, rounds)
    posterior, share, weight, number = plain_evidence(logits, cluster, k, purity, rounds)
    np.testing.assert_allclose(found.posterior, posterior, atol=1e-9)
    assert (found.share, found.weight) == (pytest.approx(share), pytest.approx(weight))
    assert found.matchings == number
    assert sorted(found.name[found.name >= 0].tolist()) == sorted(set(found.name[found.name >= 0].tolist()))
    assert int((found.name >= 0).sum()) == min(k, names)


def test_clusters_that_tell_nothing_leave_zero_shot_as_it_is():
    logits = torch.randn(4000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    cluster = torch.arange(4000)[None] % 5
    found = name_evidence(logits, cluster, 5, 0.8, 4)
    np.testing.assert_allclose(found.posterior, logits.softmax(dim=1), atol=0.05)
    assert found.matchings == 1
    assert found.share == pytest.approx(1 / 5, abs=0.03)


def test_impure_clusters_are_matched_once():
    label = torch.arange(60) % 3
    logits = 4 * F.one_hot(label, 3).double()
    found = [name_evidence(logits, label[None], 3, purity, 4).matchings for purity in (0.3, 0.5, 0.51)]
    assert found == [1, 1, 4]


def test_purer_clusters_weigh_more():
    label = torch.arange(60) % 3
    logits = F.one_hot(label, 3).double() + torch.randn(60, 3, generator=torch.Generator().manual_seed(1)).double()
    weights = [name_evidence(logits, label[None], 3, purity, 1).weight for purity in (0.0, 0.3, 0.8, 1.0)]
    assert weights == sorted(weights)
    assert np.isfinite(weights).all()


def test_evidence_does_not_depend_on_cluster_ids():
    label, turn = torch.arange(60) % 5, torch.tensor([3, 0, 4, 1, 2])
    logits = 4 * F.one_hot(label, 5) + torch.randn(60, 5, generator=torch.Generator().manual_seed(1))
    found, turned = (name_evidence(logits, each[None], 5, 0.7, 4) for each in (label, turn[label]))
    torch.testing.assert_close(found.posterior, turned.posterior)
    assert found.name.tolist() == turned.name[turn].tolist() == list(range(5))


def test_known_names_recover_wrong_images():
    label = torch.arange(200) % 4
    noise = torch.randn(200, 4, generator=torch.Generator().manual_seed(2))
    logits = 2 * F.one_hot(label, 4) + 1.5 * noise
    found = name_evidence(logits, label[None], 4, 0.9, 4)
    assert float((logits.argmax(dim=1) == label).float().mean()) < 0.8
    assert found.matchings == 4
    assert torch.equal(found.posterior.argmax(dim=1), label)
    named = pseudo_labels_from_evidence(label[None], 4, found)
    assert named.found.name.tolist() == named.summary["matching"] == [0, 1, 2, 3]
    assert torch.equal(named.name, label)
    np.testing.assert_allclose(named.confidence, found.posterior.max(dim=1).values)
    assert named.summary["sizes"] == [50] * 4


def test_same_label_rate_counts_pairs():
    rng = np.random.default_rng(0)
    cluster, label = rng.integers(0, 4, 30), rng.integers(0, 3, 30)
    pairs = [label[i] == label[j] for i, j in itertools.combinations(range(30), 2) if cluster[i] == cluster[j]]
    assert same_label_rate(torch.tensor(cluster), torch.tensor(label)) == pytest.approx(np.mean(pairs))
    assert same_label_rate(torch.arange(5), torch.zeros(5, dtype=torch.long)) == 0.0


def test_known_purity_is_of_classes_outside_the_metric(monkeypatch):
    label = torch.arange(6).repeat_interleave(10)
    spread = F.normalize(unit_rows(6, SIZE, 1)[label] + 0.4 * unit_rows(60, SIZE, 2), dim=1)
    mixed = Support(unit_rows(60, SIZE, 3)[:, None], label)
    pure, none = (known_purity(known, 0, torch.Generator()) for known in (Support(spread[:, None], label), mixed))
    assert pure > 0.9
    assert none < 0.5
    seen = []
    monkeypatch.setattr("harness_plugins._purity.whitening", lambda known: seen.append(known.label) or whitening(known))
    known_purity(mixed, 1, torch.Generator())
    assert [each.unique().tolist() for each in seen] == [[1, 3, 5], [0, 2, 4]]
    alone = mixed[label == 0]
    assert known_purity(alone, 1, torch.Generator()) is None
    assert mean_shift(alone.features[:, 0], 1).shape == (10, SIZE)


def test_restarts_that_agree_are_pure():
    same, other = torch.arange(40) % 4, torch.arange(40) // 10
    assert restart_agreement(torch.stack([same, same])) == 1.0
    assert restart_agreement(torch.stack([same, other])) < 0.3
    assert restart_agreement(same[None]) == 0.5


def test_known_names_are_those_that_zero_shot_recognises():
    prompt, label = unit_rows(4, SIZE, 1).double(), torch.tensor([0, 0, 1, 2])
    image = F.normalize(prompt[torch.tensor([0, 0, 3, 2])] + 0.3 * unit_rows(4, SIZE, 2), dim=1)
    found = known_names(Support(image[:, None], label), prompt, 30.0)
    right = softmax(30 * image.numpy() @ prompt.numpy().T)
    wanted = [right[:2, 0].mean(), right[2, 1], right[3, 2], 0]
    np.testing.assert_allclose(found, np.maximum((np.array(wanted) - 0.25) / 0.75, 0), atol=1e-9)
    assert found[0] > 0.9
    assert found[1] == found[3] == 0
