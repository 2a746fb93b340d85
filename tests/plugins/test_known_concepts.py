"""Methods that learn from IP classes how texts become images, against plain formulas in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.errors import MethodError
from harness.types.images import Support
from harness_plugins._known_concepts import KnownClasses
from harness_plugins.ogen_lite import OgenLite
from harness_plugins.proxy_map import ProxyMap, _beta, ridge_map

from ..makers import unit_rows
from .tasks import IP, IP_VOCABULARY, JOINT, NOUN, OOP_VOCABULARY, SIZE, images, make_task, quick, seen, tower

METHODS = ("ogen_lite", "proxy_map")


def double(*shape, seed):
    return unit_rows(*shape, seed).double()


def normalise(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_ridge_map_minimises_the_penalised_squared_error(weight):
    t, v, text = double(9, 12, seed=1), double(9, 12, seed=2), double(4, 12, seed=3)
    a, b = (x.numpy() - x.numpy().mean(axis=0) for x in (t, v))
    mean = np.linalg.eigvalsh(a @ a.T).mean()
    ridge = 0.3 * mean
    matrix = np.linalg.solve(a.T @ a + ridge * np.eye(12), a.T @ b)
    mapped = normalise(v.numpy().mean(axis=0) + (text.numpy() - t.numpy().mean(axis=0)) @ matrix)
    expected = normalise((1 - weight) * text.numpy() + weight * mapped)
    np.testing.assert_allclose(ridge_map(t, v)(text, ridge=0.3, weight=weight), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("mix", [0.5, 1.0, 3.0])
def test_mixture_shares_follow_a_beta_distribution(mix):
    share = _beta(mix, 4000, torch.Generator().manual_seed(0))
    assert share.shape == (4000,)
    assert float(share.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(share.var()) == pytest.approx(1 / (4 * (2 * mix + 1)), rel=0.1)
    assert len(_beta(mix, 0, torch.Generator())) == 0


def test_proxy_map_adds_mixtures_of_two_classes(monkeypatch):
    seen_pairs = []
    monkeypatch.setattr("harness_plugins.proxy_map.ridge_map", lambda t, v: seen_pairs.append((t, v)))
    known = KnownClasses(double(4, 8, seed=1), double(4, 8, seed=2))
    ProxyMap(mixtures=7).learner(make_task())(known)
    ((t, v),) = seen_pairs
    assert torch.equal(t[:4], known.texts)
    assert torch.equal(v[:4], known.means)
    for mixed_text, mixed_mean in zip(t[4:], v[4:], strict=True):
        share = torch.linalg.lstsq(known.texts.T, mixed_text[:, None]).solution[:, 0]
        assert int((share.abs() > 1e-9).sum()) <= 2
        again = F.normalize((share[:, None] * known.means).sum(dim=0), dim=0)
        torch.testing.assert_close(mixed_mean, again, rtol=1e-4, atol=1e-5)


def test_ogen_lite_extrapolates_from_the_nearest_names():
    known, text = KnownClasses(double(6, 8, seed=1), double(6, 8, seed=2)), double(3, 8, seed=3)
    found = OgenLite(nearest=2).learner(make_task())(known)(text, sharpness=5.0, strength=0.7)
    t, v, expected = known.texts.numpy(), known.means.numpy(), []
    for row in text.numpy():
        near = np.argsort(-(t @ row))[:2]
        attention = np.exp(5.0 * t[near] @ row)
        expected.append(row + 0.7 * (attention / attention.sum()) @ (v - t)[near])
    np.testing.assert_allclose(found, normalise(np.stack(expected)), rtol=1e-9)


def taught_task(seed=3):
    """A task whose images, of both sides, are their texts moved by one rotation."""
    turn = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(0)))[0]
    names = tuple(f"thing {word}" for word in "abcdefghijklmnopqrstuvwxyz")
    task = make_task()
    text = tower().encode([task.template.fill(name, NOUN) for name in names])
    text = text - text.mean(dim=0)
    label = torch.arange(len(names)).repeat(4)
    image = F.normalize(F.normalize(text, dim=1)[label] @ turn + 0.1 * unit_rows(len(label), SIZE, seed), dim=1)
    return make_task(_ip=Support(image[:, None], label), _ip_names=names)


@pytest.mark.parametrize("name", METHODS)
def test_settings_are_chosen_on_folds_of_ip_classes(name):
    task = taught_task()
    method = quick(name).fit(task)
    known, image, label = method._known(task)
    generator = torch.Generator().manual_seed(0)
    learn = method.learner(replace(task, generator=generator))
    grids, right = method.grids(), {}
    (one, ones), (other, others) = grids.items()
    for a in ones:
        for b in others:
            right[a, b] = 0
            for fold in range(5):
                held = torch.arange(len(known.texts)) % 5 == fold
                change = learn(known[~held])
                names = held.nonzero()[:, 0]
                for x, y in zip(image, label, strict=True):
                    if held[y]:
                        found = change(known.texts[held], **{one: a, other: b}) @ x
                        right[a, b] += int(names[found.argmax()] == y)
    chosen = tuple(method.outcome().values())
    assert right[chosen] == max(right.values())
    assert right[chosen] > right[ones[0], 0.0], "what the IP classes teach is used"


@pytest.mark.parametrize("name", METHODS)
def test_ip_names_score_exactly_as_zero_shot(name):
    image = images(3, 99)[0][:, 0]
    method, zero_shot = quick(name).fit(make_task()), quick("zero_shot").fit(make_task())
    assert torch.equal(method.scores(seen(image), IP_VOCABULARY), zero_shot.scores(seen(image), IP_VOCABULARY))
    found, plain = (each.scores(seen(image), JOINT).softmax(dim=1) for each in (method, zero_shot))
    torch.testing.assert_close(found[:, -len(IP) :], plain[:, -len(IP) :])
    own = method.scores(seen(image), OOP_VOCABULARY).log_softmax(dim=1)
    torch.testing.assert_close(own, (20.0 * image @ method.text_.T).log_softmax(dim=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_without_ip_classes_the_reason_is_given(name):
    nothing = Support(torch.zeros(0, 1, SIZE), torch.zeros(0, dtype=torch.long))
    with pytest.raises(MethodError, match="no labelled IP images of two classes"):
        quick(name).fit(make_task(_ip=nothing))
