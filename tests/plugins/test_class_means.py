"""Methods on class means: TEEN, the cosine head, a cache with captions, and clusters of unknown number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import multivariate_normal, multivariate_t
from sklearn.metrics import adjusted_rand_score

from harness.errors import MethodError, NotApplicable
from harness.method import build
from harness.types.task import Support
from harness_plugins._dirichlet_mixture import STRENGTHS, Gaussian, prior_of, split_and_merge
from harness_plugins.cosine_head import CosineHead
from harness_plugins.ss_gmm import SsGmm
from harness_plugins.teen import Teen
from harness_plugins.tip_adapter import TipAdapter

from ..makers import unit_rows
from .numpy_formulas import (
    CAPTIONS,
    IP,
    KNOWN,
    LABEL,
    NAMES,
    QUERY,
    SCALE,
    SUPPORT,
    fitted_scores,
    probabilities,
    prompts,
    text_feature,
)
from .tasks import JOINT, OOP_VOCABULARY, SIZE, classes, images, make_task, quick, seen

K = len(NAMES)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def among(own, names=NAMES + IP):
    """Probabilities: the OOP names share what zero-shot gives them, by their own scores."""
    whole = probabilities(SCALE * QUERY @ prompts(names).T)
    mass = whole[:, :K].sum(axis=1, keepdims=True)
    return np.hstack([mass * probabilities(own), whole[:, K:]])


# -- TEEN --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text_weight", [0.0, 0.5])
def test_teen_moves_prototypes_towards_similar_ip_prototypes(text_weight):
    p = unit(np.stack([SUPPORT[y == LABEL].mean(axis=0) for y in range(K)]))
    q = unit(np.stack([KNOWN[c::2].mean(axis=0) for c in range(2)]))
    a = probabilities(16 * p @ q.T)
    moved = unit(0.7 * p + 0.3 * unit(a @ q))
    wanted = SCALE * QUERY @ np.vstack([moved, q]).T + text_weight * SCALE * QUERY @ prompts(NAMES + IP).T
    found = fitted_scores(Teen(weight=0.3, text_weight=text_weight), NAMES, IP)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_teen_scores_unknown_names_by_their_prompts():
    found = fitted_scores(Teen(text_weight=0.0), (), ("grey goose", *IP))
    np.testing.assert_allclose(found[:, 0], SCALE * QUERY @ prompts(("grey goose",))[0], rtol=1e-9)
    bare = quick("teen").fit(make_task(_ip=make_task().ip[:0], _ip_names=()))
    assert torch.isfinite(bare.scores(seen(images(1, 99)[0][:, 0]), JOINT)).all()


# -- cosine head -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["text", "means"])
def test_cosine_head_takes_a_step_of_normalised_softmax(init):
    start = prompts(NAMES) if init == "text" else unit(np.stack([SUPPORT[y == LABEL].mean(axis=0) for y in range(K)]))
    weight = torch.from_numpy(start).requires_grad_()
    logits = 11.0 * torch.from_numpy(SUPPORT) @ (weight / weight.norm(dim=1, keepdim=True)).T
    loss = -torch.stack([row.log_softmax(dim=0)[y] for row, y in zip(logits, LABEL, strict=True)]).mean()
    loss.backward()
    moved = unit((weight - 0.5 * weight.grad).detach().numpy())
    head = CosineHead(init=init, scale=11.0, optimizer="sgd", momentum=0.0, lr=0.5, epochs=1)
    np.testing.assert_allclose(probabilities(fitted_scores(head, NAMES, IP)), among(11.0 * QUERY @ moved.T), rtol=1e-9)


def test_untrained_cosine_head_is_zero_shot():
    found = fitted_scores(CosineHead(init="text", epochs=0), NAMES, IP)
    np.testing.assert_allclose(probabilities(found), probabilities(SCALE * QUERY @ prompts(NAMES + IP).T), rtol=1e-9)


# -- captions as keys --------------------------------------------------------------------------------------------------


def test_caption_weight_mixes_captions_into_the_affinity():
    named = prompts(NAMES)
    captions = np.stack([text_feature(c) if c else named[y] for c, y in zip(CAPTIONS, LABEL, strict=True)])
    cache = np.zeros((len(QUERY), K))
    for i, x in enumerate(QUERY):
        for image, caption, y in zip(SUPPORT, captions, LABEL, strict=True):
            cache[i, y] += 3.0 * np.exp(-5.5 * (1 - 0.6 * x @ image - 0.4 * x @ caption))
    method = TipAdapter(alpha=3.0, beta=5.5, caption_weight=0.4)
    assert method.needs.declared() == ("support", "captions", "validation")
    found = fitted_scores(method, NAMES, IP)
    np.testing.assert_allclose(probabilities(found), among(SCALE * QUERY @ named.T + cache), rtol=1e-9)
    assert not TipAdapter().needs.captions


def test_trained_keys_work_beside_captions():
    method = quick("tip_adapter_f", caption_weight=0.4, epochs=2).fit(make_task())
    assert torch.isfinite(method.scores(seen(images(1, 99)[0][:, 0]), JOINT)).all()


# -- clusters of unknown number ----------------------------------------------------------------------------------------


def prior():
    scatter = np.diag([1.0, 2.0, 0.5])
    return Gaussian(torch.tensor([0.1, 0.2, 0.3]).double(), 0.7, 6.5, torch.from_numpy(scatter)), scatter


def test_evidence_is_the_product_of_predictive_densities():
    given, _ = prior()
    x = np.random.default_rng(0).normal(size=(5, 3))
    total = 0.0
    mean, kappa, nu, scatter = given.mean.numpy(), given.kappa, given.nu, given.scatter.numpy()
    for row in x:  # each image given the earlier ones: a Student t
        free = nu - 3 + 1
        total += multivariate_t(mean, scatter * (kappa + 1) / (kappa * free), df=free).logpdf(row)
        apart = row - mean
        scatter = scatter + kappa / (kappa + 1) * np.outer(apart, apart)
        mean, kappa, nu = (kappa * mean + row) / (kappa + 1), kappa + 1, nu + 1
    assert given.log_evidence(torch.from_numpy(x)) == pytest.approx(total, rel=1e-10)
    after = given.given(torch.from_numpy(x))
    np.testing.assert_allclose(after.mean, mean)
    np.testing.assert_allclose(after.scatter, scatter)
    wanted = multivariate_normal(mean, scatter / (after.nu - 4)).logpdf(x)
    np.testing.assert_allclose(after.log_density(torch.from_numpy(x)), wanted)


def groups(count, size, seed, spread=0.15):
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(count, 4))
    label = np.repeat(np.arange(count), size)
    return torch.from_numpy(centre[label] + spread * rng.normal(size=(len(label), 4))), torch.from_numpy(label)


def test_prior_has_the_greatest_evidence_of_the_known_classes():
    known, label = groups(6, 10, 1)
    found = prior_of(known, label, known)
    assert found.nu in [5 + strength for strength in STRENGTHS]
    inside = known - torch.stack([known[label == y].mean(dim=0) for y in range(6)])[label]
    wanted = inside.T @ inside / 54
    torch.testing.assert_close(found.scatter / (found.nu - 5), wanted, rtol=0.05, atol=1e-3)
    evidence = {}
    for strength in STRENGTHS:
        scatter = found.scatter / (found.nu - 5) * strength
        one = Gaussian(found.mean, found.kappa, 5 + strength, scatter)
        evidence[5 + strength] = sum(one.log_evidence(known[label == y]) for y in range(6))
    assert found.nu == max(evidence, key=evidence.get)


@pytest.mark.parametrize("start", [1, 3, 16])
def test_number_of_clusters_is_found_from_too_few_and_too_many(start):
    known, of_known = groups(6, 20, 1)
    x, label = groups(8, 25, 2)
    first = torch.arange(len(x)) % start if start < 8 else label * 2 + torch.arange(len(x)) % 2
    found = split_and_merge(x, first, prior_of(known, of_known, x), [], 1.0)
    assert adjusted_rand_score(label, found) > 0.95
    assert abs(len(found.unique()) - 8) <= 1


def test_images_of_known_classes_join_them():
    known, of_known = groups(6, 20, 1)
    x, label = groups(8, 25, 2)
    rows = torch.cat([x, known[:40] + 0.01])
    classes_ = [known[of_known == y] for y in range(6)]
    found = split_and_merge(rows, torch.zeros(len(rows)).long(), prior_of(known, of_known, rows), classes_, 1.0)
    assert torch.equal(found[len(x) :], of_known[:40])
    assert (found[: len(x)] >= 6).double().mean() > 0.8
    assert adjusted_rand_score(label, found[: len(x)]) > 0.95


def test_ss_gmm_names_clusters_and_reports_their_number():
    known = Support(
        F.normalize(unit_rows(6, SIZE, 3)[torch.arange(60) % 6] + 0.3 * unit_rows(60, SIZE, 4), dim=1)[:, None],
        torch.arange(60) % 6,
    )
    method = quick("ss_gmm").fit(make_task(_ip=known, _support=None, _validation=None))
    found = method.discovery()
    assert method.outcome() == {"clusters": len(found.name)}
    assert sorted(found.cluster.unique().tolist()) == list(range(len(found.name)))
    assert method.needs.declared() == ("unlabeled", "ip", "vocabulary")
    pool = make_task().unlabeled
    answer = method.scores(pool, OOP_VOCABULARY).argmax(dim=1)
    named = found.name[found.cluster]
    assert torch.equal(answer[named >= 0], named[named >= 0])
    bare = build("ss_gmm", classes()["ss_gmm"], "clusters").fit(make_task(_ip=known, _names=None))
    assert (bare.discovery().name == -1).all()
    with pytest.raises(NotApplicable):
        bare.scores(pool, OOP_VOCABULARY)


def test_ss_gmm_needs_two_images_of_an_ip_class():
    alone = Support(unit_rows(3, SIZE, 1)[:, None], torch.arange(3))
    with pytest.raises(MethodError, match="no IP class has two images"):
        SsGmm().fit(make_task(_ip=alone))
