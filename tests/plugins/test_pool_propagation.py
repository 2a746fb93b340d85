"""Methods that spread names over a pool: LaplacianShot, EM on Gaussian classes, label propagation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.types.images import Images
from harness_plugins.gda_em import GdaEm
from harness_plugins.graph_lp import GraphLP
from harness_plugins.laplacian import Laplacian

from .numpy_formulas import (
    KNOWN,
    LABEL,
    NAMES,
    QUERY,
    SCALE,
    SIZE,
    SUPPORT,
    fitted_scores,
    pool_task,
    probabilities,
    prompts,
)
from .tasks import OOP_VOCABULARY, images, make_task, quick, seen

K = len(NAMES)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def nearest(rows, count):
    """Indices of the nearest other rows."""
    return [sorted(set(range(len(rows))) - {i}, key=lambda j: -float(x @ rows[j]))[:count] for i, x in enumerate(rows)]


def squares(rows, means):
    return np.array([[((x - m) ** 2).sum() for m in means] for x in rows])


@pytest.mark.parametrize(("few_shot", "rounds"), [(True, 1), (True, 3), (False, 1), (False, 2)])
def test_laplacian_matches_its_bound_updates(few_shot, rounds):
    centre = QUERY.mean(axis=0)
    rows, support, one = unit(QUERY - centre), unit(SUPPORT - centre), np.eye(K)[LABEL]
    text = np.log(probabilities(SCALE * QUERY @ prompts(NAMES).T))
    means = one.T @ support / one.sum(axis=0)[:, None] if few_shot else None
    near = nearest(rows, 2)
    for number in range(rounds):
        unary = 0.5 * text - (0 if means is None else 4.0 * squares(rows, means))
        y = probabilities(unary)
        for _ in range(7):
            y = probabilities(unary + np.array([0.3 * sum(y[j] for j in js) for js in near]))
        if number < rounds - 1:
            known, extra = (one, support) if few_shot else (one[:0], support[:0])
            means = (y.T @ rows + known.T @ extra) / (y.sum(axis=0) + known.sum(axis=0))[:, None]
    setting = {"text_weight": 0.5, "distance_weight": 4.0, "neighbour_weight": 0.3, "neighbours": 2, "sweeps": 7}
    found = fitted_scores(Laplacian(few_shot=few_shot, rounds=rounds, **setting))
    np.testing.assert_allclose(probabilities(found), y, rtol=1e-6)


def test_laplacian_paper_preset_is_its_few_shot_method_without_text():
    rows, one = unit(QUERY - QUERY.mean(axis=0)), np.eye(K)[LABEL]
    means = one.T @ unit(SUPPORT - QUERY.mean(axis=0)) / one.sum(axis=0)[:, None]
    unary, near = -squares(rows, means), nearest(rows, 2)
    y = probabilities(unary)
    for _ in range(20):
        y = probabilities(unary + np.array([sum(y[j] for j in js) for js in near]))
    found = fitted_scores(Laplacian(**Laplacian.presets["paper"]))
    np.testing.assert_allclose(probabilities(found), y, rtol=1e-6)


def test_other_images_take_one_update_with_their_neighbours():
    method = Laplacian(neighbours=2, neighbour_weight=0.5).fit(pool_task())
    new = torch.from_numpy(KNOWN)
    y, wanted = method.plan_.numpy(), method._unary(new).numpy()
    centre = method.pool_.numpy().mean(axis=0)
    rows, pool = unit(KNOWN - centre), unit(method.pool_.numpy() - centre)
    for i, x in enumerate(rows):
        wanted[i] += 0.5 * sum(y[j] for j in np.argsort(-(pool @ x))[:2])
    np.testing.assert_allclose(method.others(new, method.text_).exp().numpy(), probabilities(wanted), rtol=1e-9)


@pytest.mark.parametrize("prior", ["uniform", "estimated"])
@pytest.mark.parametrize("covariance", ["pool", "ip"])
def test_gda_em_matches_its_rounds(prior, covariance):
    zero_shot = SCALE * QUERY @ prompts(NAMES).T
    scatter, count = np.zeros((SIZE, SIZE)), len(QUERY)
    if covariance == "ip":
        label = np.arange(len(KNOWN)) % 2
        inside = KNOWN - np.stack([KNOWN[label == y].mean(axis=0) for y in range(2)])[label]
        scatter, count = inside.T @ inside, count + len(KNOWN)
    r = probabilities(zero_shot)
    for _ in range(3):
        means = [sum(p * x for p, x in zip(r[:, c], QUERY, strict=True)) / r[:, c].sum() for c in range(K)]
        e = sum(r[i, c] * np.outer(x - means[c], x - means[c]) for i, x in enumerate(QUERY) for c in range(K))
        e = (e + scatter) / count
        precision = np.linalg.inv(e + 0.5 * np.trace(e) / SIZE * np.eye(SIZE))
        term = np.array([[x @ precision @ m - m @ precision @ m / 2 for m in means] for x in QUERY])
        if prior == "estimated":
            term = term + np.log(r.mean(axis=0))
        r = probabilities(zero_shot + 0.2 * term)
    found = fitted_scores(GdaEm(alpha=0.2, shrinkage=0.5, rounds=3, prior=prior, covariance=covariance))
    np.testing.assert_allclose(probabilities(found), r, rtol=1e-6)


def test_gda_em_without_rounds_is_zero_shot():
    found = fitted_scores(GdaEm(rounds=0))
    np.testing.assert_allclose(probabilities(found), probabilities(SCALE * QUERY @ prompts(NAMES).T), rtol=1e-9)


@pytest.mark.parametrize("few_shot", [True, False])
def test_graph_lp_is_the_mean_of_propagations(few_shot):
    text, shares = prompts(NAMES), []
    support, label = (SUPPORT, LABEL) if few_shot else (SUPPORT[:0], LABEL[:0])
    n, m = len(QUERY), len(support)
    cosine = QUERY @ text.T
    for view in ("features", "probabilities"):
        rows = np.vstack([QUERY, support])
        links = cosine
        if view == "probabilities":
            share = probabilities(SCALE * rows @ text.T)
            rows, links = unit(share), share[:n]
        w = np.zeros((n + m + K, n + m + K))
        for i, js in enumerate(nearest(rows, 3)):
            for j in js:
                w[i, j] += max(rows[i] @ rows[j], 0) ** 3
                w[j, i] += max(rows[i] @ rows[j], 0) ** 3
        for c in range(K):
            for i in np.argsort(-links[:, c])[:3]:
                w[n + m + c, i] = w[i, n + m + c] = max(links[i, c], 0) ** 3
        degree = w.sum(axis=0)
        root = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1e-30)), 0)
        y = np.vstack([np.zeros((n, K)), np.eye(K)[label], np.eye(K)])
        f = np.linalg.solve(np.eye(n + m + K) - 0.6 * root[:, None] * w * root, y)[:n]
        shares.append(f / f.sum(axis=1, keepdims=True))
    found = fitted_scores(GraphLP(few_shot=few_shot, neighbours=3, power=3.0, alpha=0.6))
    np.testing.assert_allclose(probabilities(found), np.mean(shares, axis=0), rtol=1e-4, atol=1e-7)


def test_graph_lp_reads_a_second_encoder():
    encoder = "vit_small_patch14_dinov2.lvd142m"

    def with_encoder(part):
        return type(part)(
            **{k: getattr(part, k) for k in ("features", "label", "captions") if hasattr(part, k)},
            _kinds={encoder: part.features.flip(2)},
        )

    task = make_task()
    task = make_task(_support=with_encoder(task.support), _unlabeled=with_encoder(task.unlabeled))
    method = quick("graph_lp", encoder=encoder)
    assert method.encoders == (encoder,)
    found = method.fit(task).log_plan_
    assert not torch.allclose(found, quick("graph_lp").fit(task).log_plan_)


@pytest.mark.parametrize("name", ["laplacian", "gda_em", "graph_lp"])
@pytest.mark.parametrize("count", [1, 3])
def test_pools_of_few_images(name, count):
    pool, query = images(12, 20)[0][:count, 0], images(2, 99)[0][:, 0]
    method = quick(name).fit(make_task(_unlabeled=seen(pool)))
    assert torch.isfinite(method.scores(seen(torch.cat([query, pool])), OOP_VOCABULARY)).all()
    assert method.discovery().cluster.shape == (count,)


@pytest.mark.parametrize("name", ["laplacian", "gda_em", "graph_lp"])
def test_pool_order_does_not_change_predictions(name):
    pool = images(12, 20)[0][:, 0]
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(3))
    straight, mixed = (quick(name).fit(make_task(_unlabeled=Images.of(rows))) for rows in (pool, pool[order]))
    query = torch.cat([pool, images(5, 99)[0][:, 0]])
    assert torch.equal(straight.scores(seen(query), OOP_VOCABULARY), mixed.scores(seen(query), OOP_VOCABULARY))
    assert straight.outcome() == mixed.outcome() == {"empty_names": 0}
