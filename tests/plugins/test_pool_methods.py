"""Methods that name a pool by Gaussian or Dirichlet classes, transport or propagation, against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linprog
from scipy.special import gammaln

from harness.types.images import Images
from harness_plugins._neighbour_graph import Graph, propagate
from harness_plugins.em_dirichlet import EMDirichlet, dirichlet
from harness_plugins.otter import OTTER, estimated_shares, prices, transported
from harness_plugins.stata import StatA
from harness_plugins.zlap import ZLaP

from ..makers import unit_rows
from .numpy_formulas import NAMES, NOUN, SCALE, SIZE, PlainTower, plain_task
from .tasks import NAMES as ALL
from .tasks import OOP_VOCABULARY, images, make_task, quick, seen, tower

METHODS = ("em_dirichlet", "otter", "stata", "zlap")


def softmax(scores):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def double_task(n=14, **change):
    """A pool of n images around three texts, in float64, sorted as methods sort it."""
    task = plain_task()
    text = task.text.encode([task.template.fill(name, NOUN) for name in NAMES])
    pool = F.normalize(text[torch.arange(n) % 3] + 0.9 * unit_rows(n, SIZE, 4).double(), dim=1)
    given = {"_names": NAMES, "noun": NOUN, "text": PlainTower(), "logit_scale": SCALE, "_support": task.support}
    task = make_task(**given, generator=torch.Generator(), _unlabeled=Images.of(pool), **change)
    return task, pool.numpy(), text.numpy()


def plan_of(method, task):
    """Probabilities of the pool, in its own order."""
    return method.fit(task).log_plan_.exp().numpy()[method.order_.numpy()]


# -- all of them -------------------------------------------------------------------------------------------------------


def far_apart(seed=1):
    text = tower().encode([make_task().template.fill(name, "animal") for name in ALL])
    label = torch.arange(len(ALL)).repeat(12)
    return F.normalize(text[label] + 0.02 * unit_rows(len(label), 24, seed), dim=1), label


@pytest.mark.parametrize("name", METHODS)
def test_a_separable_pool_is_named_correctly_in_any_order(name):
    image, label = far_apart()
    order = torch.randperm(len(image), generator=torch.Generator().manual_seed(3))
    one, other = (quick(name).fit(make_task(_unlabeled=seen(rows))) for rows in (image, image[order]))
    fresh, truth = far_apart(5)
    for rows, wanted in ((image, label), (fresh, truth)):
        found = one.scores(seen(rows), OOP_VOCABULARY)
        assert (found.argmax(dim=1) == wanted).all()
        assert torch.equal(found, other.scores(seen(rows), OOP_VOCABULARY))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_small_pool_is_scored(name, count):
    method = quick(name).fit(make_task(_unlabeled=Images(images(12, 20)[0][:count])))
    assert bool(torch.isfinite(method.scores(seen(images(2, 99)[0][:, 0]), OOP_VOCABULARY)).all())


# -- stata -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anchor", [1.0, 5.0])
@pytest.mark.parametrize("released", [False, True])
def test_stata_updates_match_formula(anchor, released):
    task, x, t = double_task()
    p = softmax(SCALE * x @ t.T)
    cos = x @ x.T - 9 * np.eye(len(x))
    w = np.zeros_like(cos)
    for i, row in enumerate(cos):
        near = np.argsort(-row)[:3]
        w[i, near] += np.maximum(row[near], 0) / 2
        w[near, i] += np.maximum(row[near], 0) / 2
    held = np.stack([(p[:, k : k + 1] * (x - t[k]) ** 2).sum(axis=0) / p[:, k].sum() for k in range(3)])
    if released:
        held = np.tile(sum(p[:, k] @ (x - t[k]) ** 2 for k in range(3)) / len(x), (3, 1))
    mu, var, z = t.copy(), held.copy(), p.copy()
    for step in range(2 + released):
        density = np.stack([-((x - mu[k]) ** 2 / var[k] + np.log(var[k])).sum(axis=1) / 2 for k in range(3)], axis=1)
        for _ in range(5):
            z = softmax(np.log(p) + 0.7 * density + 0.4 * w @ z)
        for k in range(3 if step < 2 else 0):
            n = z[:, k].sum()
            size = (z.argmax(axis=1) == k).sum() if released else n
            b, mean = size / (size + anchor), z[:, k] @ x / n
            mu[k] = b * (mean / np.linalg.norm(mean) if released else mean) + (1 - b) * t[k]
            mu[k] /= np.linalg.norm(mu[k]) if released else 1
            scatter = z[:, k] @ (x - mu[k]) ** 2 / n
            var[k] = b * scatter + (1 - b) * (held[k] + (t[k] - mu[k]) ** 2)
    weights = {"likelihood_weight": 0.7, "neighbour_weight": 0.4}
    found = plan_of(StatA(rounds=2, anchor=anchor, released=released, **weights), task)
    np.testing.assert_allclose(found, z, rtol=1e-7, atol=1e-12)


def test_stata_leaves_absent_classes_at_their_text():
    image, label = far_apart()
    method = quick("stata").fit(make_task(_unlabeled=seen(image[label < 3])))
    apart = (method.mean_ - method.text_).norm(dim=1)
    assert apart[:3].min() > 5 * apart[3:].max()


# -- zlap --------------------------------------------------------------------------------------------------------------


def test_propagation_solves_the_linear_system():
    rng = np.random.default_rng(0)
    head, tail = (torch.from_numpy(side) for side in rng.integers(0, 9, (2, 30)))
    weight = torch.from_numpy(rng.uniform(size=30))
    graph, root = Graph.symmetric(weight, head, tail).normalised(12)  # three nodes have no edge
    w = np.zeros((12, 12))
    for a, i, j in zip(weight.tolist(), head.tolist(), tail.tolist(), strict=True):
        w[i, j] += a
        w[j, i] += a
    degree = w.sum(axis=1)
    scaled = w / np.sqrt(np.outer(np.maximum(degree, 1e-30), np.maximum(degree, 1e-30)))
    start = np.eye(12)[:, :4]
    found = propagate(graph, torch.from_numpy(start), 0.9, tolerance=1e-12)
    np.testing.assert_allclose(found, np.linalg.solve(np.eye(12) - 0.9 * scaled, start), atol=1e-9)
    assert root[9:].tolist() == [0.0] * 3


def test_zlap_matches_formula():
    task, x, t = double_task()
    n, k, power, share = len(x), 3, 2.0, 0.5

    def links(row, own):
        to = np.zeros(n + k)
        cos = x @ row
        if own is not None:
            cos[own] = -9
        near = np.argsort(-cos)[: 2 if own is not None else 3]
        names = np.argsort(-(t @ row))[:3]
        to[near], to[n + names] = np.maximum(cos[near], 0), np.maximum(t[names] @ row, 0) ** power
        return to

    w = np.zeros((n + k, n + k))
    for i in range(n):
        w[i] += links(x[i], i)
    w = w + w.T
    root = 1 / np.sqrt(w.sum(axis=1))
    found = np.linalg.solve(np.eye(n + k) - share * root[:, None] * w * root, np.eye(n + k)[:, n:])
    method = ZLaP(neighbours=3, power=power, share=share)
    wanted = found[:n] / found[:n].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(plan_of(method, task), wanted, atol=2e-6)
    query = unit_rows(4, SIZE, 8).double()
    inductive = np.stack([links(row, None) @ (root[:, None] * found) for row in query.numpy()])
    wanted = np.log(inductive / inductive.sum(axis=1, keepdims=True)).clip(-30)
    np.testing.assert_allclose(method.others(query, torch.from_numpy(t)), wanted, atol=1e-5)


# -- em_dirichlet ------------------------------------------------------------------------------------------------------


def test_dirichlet_concentrations_maximise_the_likelihood():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.4, 2.0, 5.0], 400)
    mean = np.log(p).mean(axis=0)
    found = dirichlet(torch.from_numpy(mean)[None], torch.ones(1, 3, dtype=torch.float64), 1000)[0].numpy()

    def likelihood(a):
        return gammaln(a.sum()) - gammaln(a).sum() + (a - 1) @ mean

    for direction in np.vstack([np.eye(3), -np.eye(3)]):
        assert likelihood(found * (1 + 0.01 * direction)) < likelihood(found)
    np.testing.assert_allclose(found, [0.4, 2.0, 5.0], rtol=0.2)


@pytest.mark.parametrize("few_shot", [False, True])
def test_em_dirichlet_matches_formula(few_shot):
    task, x, t = double_task()
    logs = np.log(softmax(9.0 * x @ t.T))
    u = np.exp(logs)
    s, y = task.support.features[:, 0].numpy(), task.support.label.numpy()
    known = np.log(softmax(9.0 * s @ t.T)) if few_shot else logs[:0]
    fixed = np.eye(3)[y] if few_shot else u[:0]
    a = torch.ones(3, 3, dtype=torch.float64)
    for _ in range(3):
        weight = np.vstack([u, fixed])
        mean = weight.T @ np.vstack([logs, known]) / weight.sum(axis=0)[:, None]
        a = dirichlet(torch.from_numpy(mean), a, 100)
        b = a.numpy()
        density = logs @ (b - 1).T + gammaln(b.sum(axis=1)) - gammaln(b).sum(axis=1)
        u = softmax(density + 2.0 * np.log(u.mean(axis=0)))
    method = EMDirichlet(scale=9.0, complexity=2.0, rounds=3, few_shot=few_shot)
    np.testing.assert_allclose(plan_of(method, task), u, rtol=1e-6, atol=1e-12)


def test_em_dirichlet_paper_complexity_is_a_fifth_of_the_names():
    task = make_task()
    one, other = (EMDirichlet(complexity=value).fit(task).log_plan_ for value in (None, 1.0))
    assert torch.equal(one, other)  # five names
    assert not torch.equal(one, EMDirichlet(complexity=3.0).fit(task).log_plan_)


# -- otter -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [(0.25, 0.25, 0.25, 0.25), (0.5, 0.25, 0.25, 0.0)])
def test_transport_is_optimal_and_its_prices_support_it(share):
    score = torch.from_numpy(np.random.default_rng(1).normal(size=(12, 4)))
    column = transported(score, torch.tensor(share))
    assert torch.bincount(column, minlength=4).tolist() == [int(12 * one) for one in share]
    rows = np.kron(np.eye(12), np.ones(4))
    columns = np.kron(np.ones(12), np.eye(4))
    wanted = linprog(
        -score.numpy().ravel(), A_eq=np.vstack([rows, columns]), b_eq=[1] * 12 + [12 * one for one in share]
    )
    assert float(score.gather(1, column[:, None]).sum()) == pytest.approx(-wanted.fun)
    price = prices(score, column)
    there = torch.tensor(share) > 0
    net = score - price
    assert (net.gather(1, column[:, None]) >= net[:, there] - 1e-9).all()


def test_shares_are_estimated_from_confusions():
    confused, share = np.array([[7, 3, 0], [1, 8, 1], [2, 2, 6]]), np.array([6, 3, 1])
    label = np.repeat(np.arange(3), 10)
    predicted = np.concatenate([np.repeat(np.arange(3), row) for row in confused])
    of_pool = np.repeat(np.arange(3), share @ confused)
    found = estimated_shares(*(torch.from_numpy(one) for one in (predicted, label, of_pool)), 3)
    np.testing.assert_allclose(found, share / 10, atol=1e-6)
    none = torch.zeros(0, dtype=torch.long)
    assert estimated_shares(none, none, none + 0, 3).tolist() == pytest.approx([1 / 3] * 3)


def test_otter_gives_every_name_its_share_of_the_pool():
    task = make_task()
    method = OTTER().fit(task)
    assert torch.bincount(method.named()[0], minlength=5).tolist() == [12] * 5
    image = task.unlabeled.features[:, 0]
    found = method.scores(seen(image), OOP_VOCABULARY).argmax(dim=1)
    assert torch.equal(found, method.discovery().cluster)
    assert OTTER(shares="support").needs.declared() == ("support", "unlabeled", "vocabulary")
