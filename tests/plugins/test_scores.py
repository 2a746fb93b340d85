"""The scores of the methods that take no gradient steps, against formulas written out with numpy in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from harness.errors import FixedVocabulary
from harness.method import build
from harness.types.images import Images
from harness.types.vocabulary import Vocabulary
from harness_plugins._grid_search import middle_of_best
from harness_plugins.gda import GDA
from harness_plugins.linear_probe import LinearProbe
from harness_plugins.tip_adapter import TipAdapter
from harness_plugins.transclip import SUPPORT_WEIGHTS, TransCLIP
from harness_plugins.zero_shot import TEMPLATES, ZeroShot

from .numpy_formulas import (
    IP,
    LABEL,
    NAMES,
    NOUN,
    QUERY,
    SCALE,
    SIZE,
    SUPPORT,
    plain_task,
    probabilities,
    prompts,
    text_feature,
)


def scores(method, oop=NAMES, ip=()) -> np.ndarray:
    vocabulary = Vocabulary.of(NOUN, oop=oop, ip=ip)
    found = method.fit(plain_task()).scores(Images.of(torch.from_numpy(QUERY)), vocabulary)
    assert found.dtype == torch.float64
    return found.numpy()


def among(term: np.ndarray) -> np.ndarray:
    """Probabilities over OOP and IP names: the OOP names share what zero-shot gives them, by zero-shot and the term."""
    before = SCALE * QUERY @ prompts(NAMES + IP).T
    whole = probabilities(before)
    mass = whole[:, : len(NAMES)].sum(axis=1, keepdims=True)
    return np.hstack([mass * probabilities(before[:, : len(NAMES)] + term), whole[:, len(NAMES) :]])


@pytest.mark.parametrize(("oop", "ip"), [(NAMES, ()), ((), IP), (NAMES, IP)])
def test_zero_shot_is_the_scaled_cosine(oop, ip):
    np.testing.assert_allclose(scores(ZeroShot(), oop, ip), SCALE * QUERY @ prompts(oop + ip).T, rtol=1e-10, atol=1e-12)


def test_the_ensemble_is_the_mean_direction_of_its_prompts():
    columns = []
    for name in NAMES:
        mean = np.mean([text_feature(t.text.format(name=name, noun=NOUN)) for t in TEMPLATES], axis=0)
        columns.append(SCALE * QUERY @ (mean / np.linalg.norm(mean)))
    np.testing.assert_allclose(scores(ZeroShot(prompts="ensemble")), np.stack(columns, axis=1), rtol=1e-10)


def test_tip_adapter_adds_cache_scores():
    cache = np.zeros((len(QUERY), len(NAMES)))
    for i, x in enumerate(QUERY):
        for key, y in zip(SUPPORT, LABEL, strict=True):
            cache[i, y] += 3.0 * np.exp(-5.5 * (1 - x @ key))
    found = scores(TipAdapter(alpha=3.0, beta=5.5), NAMES, IP)
    np.testing.assert_allclose(probabilities(found), among(cache), rtol=1e-9)


def test_gda_adds_discriminant_scores():
    means = np.stack([SUPPORT[y == LABEL].mean(axis=0) for y in range(len(NAMES))])
    covariance = np.cov((SUPPORT - means[LABEL]).T)
    shrunk = (len(SUPPORT) - 1) * covariance + np.trace(covariance) * np.eye(SIZE)
    precision = SIZE * np.linalg.inv(shrunk)
    term = QUERY @ precision @ means.T
    term += [-np.log(len(NAMES)) - m @ precision @ m / 2 for m in means]
    found = scores(GDA(covariance="views", alpha=0.02), NAMES, IP)
    np.testing.assert_allclose(probabilities(found), among(0.02 * term), rtol=1e-7)


@pytest.mark.parametrize("c", [0.1, 10.0])
def test_linear_probe_is_the_minimum_of_the_regularised_cross_entropy(c):
    def objective(flat: np.ndarray) -> float:
        weight, bias = flat[: len(NAMES) * SIZE].reshape(len(NAMES), SIZE), flat[len(NAMES) * SIZE :]
        value = (weight**2).sum() / 2
        for x, y in zip(SUPPORT, LABEL, strict=True):
            raw = weight @ x + bias
            value += c * (np.log(np.exp(raw).sum()) - raw[y])
        return float(value)

    best = minimize(objective, np.zeros(len(NAMES) * (SIZE + 1)), method="BFGS", options={"gtol": 1e-6}).x
    weight, bias = best[: len(NAMES) * SIZE].reshape(len(NAMES), SIZE), best[len(NAMES) * SIZE :]
    found = scores(LinearProbe(c=c))
    np.testing.assert_allclose(probabilities(found), probabilities(QUERY @ weight.T + bias), atol=2e-3)


@pytest.mark.parametrize(("preset", "likelihood", "mean"), [(None, 1.0, False), ("paper", 1 / 50, True)])
def test_transclip_matches_equations_and_authors_preset(preset, likelihood, mean):
    """Against sums over images, names and coordinates, with one round of two sweeps, for pool and other images.

    The authors' code: the likelihood to the power of 1/50, and over the neighbours of both directions their mean.
    """
    text, near = prompts(NAMES), 3
    prior, cosine = probabilities(SCALE * QUERY @ text.T), QUERY @ QUERY.T
    pull = np.zeros_like(cosine)
    for i, row in enumerate(cosine):
        for j in sorted(set(range(len(QUERY))) - {i}, key=lambda j: -row[j])[:near]:
            pull[i, j] += max(row[j], 0) / (2 * near if mean else 2)
            pull[j, i] += max(row[j], 0) / (2 * near if mean else 2)
    means = []
    for y in range(len(NAMES)):
        surest = np.argsort(-prior[:, y])[:4]
        means.append((prior[surest, y, None] * QUERY[surest]).sum(axis=0))
    means = [m / np.linalg.norm(m) for m in means]
    variance, z = np.full(SIZE, 1 / SIZE), prior

    def density(images):
        return likelihood * np.array([[-(((x - m) ** 2) / variance).sum() / 2 for m in means] for x in images])

    for last in (False, True):
        for _ in range(2):
            z = prior * np.exp(density(QUERY) + pull @ z)
            z /= z.sum(axis=1, keepdims=True)
        if not last:
            means = [sum(p * x for p, x in zip(z[:, y], QUERY, strict=True)) for y in range(len(NAMES))]
            means = [m / np.linalg.norm(m) for m in means]
            terms = [p * (x - m) ** 2 for x, row in zip(QUERY, z, strict=True) for p, m in zip(row, means, strict=True)]
            variance = sum(terms) / len(QUERY)
    method = replace(build("transclip", TransCLIP, preset), confident=4, rounds=1, sweeps=2)
    method.fit(replace(plain_task(), _unlabeled=Images.of(torch.from_numpy(QUERY))))
    vocabulary = Vocabulary.of(NOUN, oop=NAMES)
    found = method.scores(Images.of(torch.from_numpy(QUERY)), vocabulary).numpy()
    np.testing.assert_allclose(probabilities(found), z, rtol=1e-9, atol=1e-12)
    found = method.scores(Images.of(torch.from_numpy(SUPPORT)), vocabulary).numpy()
    posterior = probabilities(SCALE * SUPPORT @ text.T) * np.exp(density(SUPPORT))
    np.testing.assert_allclose(
        probabilities(found), posterior / posterior.sum(axis=1, keepdims=True), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(("inner", "likelihood"), [(None, 1.0), (None, 1 / 50), ("linear_probe", 1.0)])
def test_few_shot_transclip_matches_equations(inner, likelihood):
    """Equation 2 with labelled images: fixed assignments, gamma / |S| of them in means and covariance, all neighbours.

    The pool counts in means and covariance with the weight of its likelihood, as in the authors' code.

    Against sums over images, names and coordinates, with one round of two sweeps.
    """
    gamma, text_weight, near, n, m = 0.3, 0.5, 2, len(QUERY), len(SUPPORT)
    if inner is None:
        method, prior = TransCLIP(), probabilities(SCALE * QUERY @ prompts(NAMES).T)
    else:
        probe = {"name": "linear_probe", "parameters": {"c": 2.0}}
        method, prior = build("transclip", TransCLIP, None, {"inner": probe}), probabilities(scores(LinearProbe(c=2.0)))
    rows, truth = np.concatenate([QUERY, SUPPORT]), np.eye(len(NAMES))[LABEL]
    cosine = rows @ rows.T
    pull = np.zeros_like(cosine)
    for i, row in enumerate(cosine):
        for j in sorted(set(range(n + m)) - {i}, key=lambda j: -row[j])[:near]:
            pull[i, j] += max(row[j], 0) / 2
            pull[j, i] += max(row[j], 0) / 2
    means = np.stack([SUPPORT[y == LABEL].sum(axis=0) for y in range(len(NAMES))])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    variance, z = np.full(SIZE, 1 / SIZE), prior
    for last in (False, True):
        density = np.array([[-(((x - mean) ** 2) / variance).sum() / 2 for mean in means] for x in QUERY])
        for _ in range(2):
            z = prior**text_weight * np.exp(likelihood * density + (pull @ np.concatenate([z, truth]))[:n])
            z /= z.sum(axis=1, keepdims=True)
        if not last:
            means = likelihood * z.T @ QUERY / n + gamma * truth.T @ SUPPORT / m
            means /= np.linalg.norm(means, axis=1, keepdims=True)
            variance = np.zeros(SIZE)
            for weight, images, shares in ((likelihood / n, QUERY, z), (gamma / m, SUPPORT, truth)):
                for x, share in zip(images, shares, strict=True):
                    variance += weight * sum(p * (x - mean) ** 2 for p, mean in zip(share, means, strict=True))
            variance /= likelihood + gamma
    few_shot = {"few_shot": True, "support_weight": gamma, "text_weight": text_weight, "likelihood_weight": likelihood}
    method = replace(method, **few_shot, neighbours=near, rounds=1, sweeps=2)
    method.fit(replace(plain_task(), _unlabeled=Images.of(torch.from_numpy(QUERY))))
    found = method.scores(Images.of(torch.from_numpy(QUERY)), Vocabulary.of(NOUN, oop=NAMES)).numpy()
    np.testing.assert_allclose(probabilities(found), z, rtol=1e-9, atol=1e-12)


def test_few_shot_transclip_takes_middle_of_best_weights():
    task = replace(plain_task(), _unlabeled=Images.of(torch.from_numpy(QUERY)))
    image, label = task.validation.features[:, 0], task.validation.label
    vocabulary, right, answers = Vocabulary.of(NOUN, oop=NAMES), [], []
    for weight in SUPPORT_WEIGHTS:
        fixed = TransCLIP(few_shot=True, support_weight=weight)
        assert fixed.needs.declared() == ("support", "unlabeled", "vocabulary")
        fixed.fit(task)
        right.append(int((fixed.others(image, fixed.text_).argmax(dim=1) == label).sum()))
        answers.append(fixed.scores(Images.of(torch.from_numpy(QUERY)), vocabulary))
    chosen = TransCLIP(few_shot=True)
    assert chosen.needs.declared() == ("support", "validation", "unlabeled", "vocabulary")
    at = middle_of_best(right)[0]
    torch.testing.assert_close(
        chosen.fit(task).scores(Images.of(torch.from_numpy(QUERY)), vocabulary), answers[at], rtol=1e-12, atol=1e-12
    )
    assert chosen.outcome() == {"support_weight": SUPPORT_WEIGHTS[at]}


def test_transclip_with_inner_method_scores_other_names_as_inner():
    task = replace(plain_task(), _unlabeled=Images.of(torch.from_numpy(QUERY)))
    image = torch.from_numpy(QUERY)
    own = TipAdapter().fit(task).scores(Images.of(image), Vocabulary.of(NOUN, oop=NAMES, ip=IP))
    found = build("transclip", TransCLIP, None, {"inner": "tip_adapter"}).fit(task)
    joint = found.scores(Images.of(image), Vocabulary.of(NOUN, oop=NAMES, ip=IP))
    assert torch.equal(joint[:, len(NAMES) :], own[:, len(NAMES) :])
    assert not torch.allclose(joint[:, : len(NAMES)], own[:, : len(NAMES)])
    assert found.outcome()["inner"].keys() == {"alpha", "beta"}
    fixed = build("transclip", TransCLIP, None, {"inner": "taskres"}).fit(task)
    with pytest.raises(FixedVocabulary, match="taskres cannot score"):
        fixed.scores(Images.of(image), Vocabulary.of(NOUN, oop=NAMES, ip=IP))
