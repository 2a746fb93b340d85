"""Methods that learn or refine class weights from the support, against plain formulas in float64."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from harness.types.images import Images
from harness_plugins.ape import APE, GAMMAS, channel_values
from harness_plugins.clap import CLAP
from harness_plugins.lp_pp import LPPP
from harness_plugins.tip_adapter import ALPHAS, BETAS

from ..makers import unit_rows
from .numpy_formulas import NAMES, SCALE, plain_task
from .tasks import OOP_VOCABULARY, images, make_task, quick, seen

ONE = np.eye(3)


def given(task):
    """Support images, labels and texts as arrays."""
    text = task.text.encode([task.template.fill(name, task.noun) for name in NAMES]).numpy()
    return task.support.features[:, 0].numpy(), task.support.label.numpy(), text


def softmax(scores):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# -- lp_pp -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 9, 10, 25])
def test_lp_pp_steps_match_formula(steps):
    task = plain_task()
    x, y, t = given(task)
    cos, n = x @ t.T, len(x)
    weight, bias = ONE[y].T @ x, np.zeros(3)
    alpha = np.full(3, 25 * np.mean([cos[i, y[i]] for i in range(n)]))
    rate, alpha_rate = 4 * n / np.linalg.eigvalsh(x.T @ x)[-1], n / (4 * max((cos**2).sum(axis=0)))
    found, v, c = [], np.zeros_like(weight), np.zeros(3)
    for step in range(1, steps + 1):
        apart = (softmax(x @ weight.T + bias + alpha * cos) - ONE[y]) / n
        v, c = 0.9 * v + apart.T @ x, 0.9 * c + apart.sum(axis=0)
        weight, bias = weight - rate * v, bias - rate * c
        alpha = alpha - alpha_rate * (apart * cos).sum(axis=0) * (step % 10 == 0)
        logits = x @ weight.T + bias + alpha * cos
        found.append(((logits.argmax(axis=1) == y).sum(), step, logits))
    wanted = max(found, key=lambda one: one[:2])
    method = LPPP(steps=steps, initial_alpha=25.0).fit(task)
    assert method.step_ == wanted[1]
    np.testing.assert_allclose(method.scores(Images.of(torch.from_numpy(x)), task.vocabulary), wanted[2], rtol=1e-9)


def test_lp_pp_decreases_the_loss():
    task = make_task()
    found = [
        torch.nn.functional.cross_entropy(
            LPPP(steps=n).fit(task).scores(seen(task.support.features[:, 0]), OOP_VOCABULARY), task.support.label
        )
        for n in (1, 300)
    ]
    assert found[1] < 0.5 * found[0]


# -- clap --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("base", "steps"), [("unit", 1), ("raw", 1), ("unit", 3), ("raw", 3)])
def test_clap_step_matches_formula(base, steps):
    task = plain_task()
    x, y, t = given(task)
    prompts = [task.template.fill(name, task.noun) for name in NAMES]
    start = t * task.text.norms(prompts).numpy()[:, None] if base == "raw" else t
    p = softmax(SCALE * x @ t.T)
    held = np.array([np.mean([p[i, k] for i in range(len(x)) if y[i] == k]) for k in range(3)])
    w, speed = start.copy(), np.zeros_like(start)
    for step in range(steps):
        length = np.linalg.norm(w, axis=1, keepdims=True)
        of_unit = SCALE * ((softmax(SCALE * x @ unit(w).T) - ONE[y]) / len(x)).T @ x
        gradient = (of_unit - unit(w) * (of_unit * unit(w)).sum(axis=1, keepdims=True)) / length
        gradient = gradient + 2 * 1.5 * held[:, None] * (w - start) / 3
        speed = 0.9 * speed + gradient
        w = w - 0.1 * 0.5 * (1 + np.cos(np.pi * step / steps)) * speed
    method = CLAP(optimizer="sgd", lr=0.1, epochs=steps, base=base, penalty=1.5).fit(task)
    scores = method.scores(Images.of(torch.from_numpy(x)), task.vocabulary)
    np.testing.assert_allclose(scores, SCALE * x @ unit(w).T, rtol=1e-9)
    assert method.outcome() == {"held": pytest.approx(1.5 * held.mean(), abs=1e-4)}


def test_clap_penalty_holds_weights_at_the_text():
    image = images(5, 99)[0][:, 0]
    zero_shot, free, held = (
        quick(name, **how).fit(make_task()).scores(seen(image), OOP_VOCABULARY)
        for name, how in (("zero_shot", {}), ("clap", {"penalty": 0.0}), ("clap", {"penalty": 1e4}))
    )
    assert (held - zero_shot).abs().max() < 0.1 * (free - zero_shot).abs().max()
    untrained = quick("clap", epochs=0).fit(make_task()).scores(seen(image), OOP_VOCABULARY)
    torch.testing.assert_close(untrained, zero_shot, rtol=1e-5, atol=1e-5)


# -- ape ---------------------------------------------------------------------------------------------------------------


def plain_values(text, image, label, weight):
    """The loops over pairs of different classes."""
    rows = [(t, k) for k, t in enumerate(text)] + list(zip(image, label, strict=True))
    pairs = [a * b for (a, i), (b, j) in product(rows, rows) if i != j]
    return -weight * np.mean(pairs, axis=0) + (1 - weight) * text.var(axis=0, ddof=1)


def test_ape_channel_values_match_loops_over_pairs():
    text, image = unit_rows(4, 8, 1).double().numpy(), unit_rows(7, 8, 2).double().numpy()
    label = np.array([0, 0, 1, 2, 2, 2, 0])  # a class without images, and unequal numbers of them
    found = channel_values(*map(torch.from_numpy, (text, image, label)), 0.7)
    np.testing.assert_allclose(found, plain_values(text, image, label, 0.7), rtol=1e-10)


def plain_ape(x, task, alpha, beta, gamma, scaled, share=0.7):
    s, y, t = given(task)
    kept = np.argsort(-plain_values(t, s, y, 0.7))[: int(share * s.shape[1])]
    a, keys, names = (unit(rows[:, kept]) for rows in (x, s, t))
    bits = -np.log2(softmax((SCALE if scaled else 1) * keys @ names.T)[np.arange(len(y)), y])
    cache = (np.exp(-beta * (1 - a @ keys.T)) * np.exp(gamma * bits)) @ ONE[y]
    return SCALE * x @ t.T + alpha * cache


@pytest.mark.parametrize("scaled", [True, False])
def test_ape_scores_match_formula(scaled):
    task = plain_task()
    x = unit_rows(5, 20, 3).double().numpy()
    method = APE(alpha=2.0, beta=3.0, gamma=0.2, scaled=scaled).fit(task)
    found = method.scores(Images.of(torch.from_numpy(x)), task.vocabulary)
    np.testing.assert_allclose(found.softmax(dim=1), softmax(plain_ape(x, task, 2.0, 3.0, 0.2, scaled)), rtol=1e-9)


def test_ape_chooses_a_best_setting_on_validation_draw():
    task = make_task()
    image, label = task.validation.features[:, 0], task.validation.label

    def right(**how):
        return int((APE(**how).fit(task).scores(seen(image), OOP_VOCABULARY).argmax(dim=1) == label).sum())

    best = max(right(alpha=a, beta=b, gamma=g) for a, b, g in product(ALPHAS[::3], BETAS[::3], GAMMAS[::2]))
    method = APE().fit(task)
    assert right() >= best
    assert right(**method.outcome()) == right()
