"""NoLA's head against plain formulas, and what its labels are made of."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.errors import MethodError
from harness.method import build
from harness.prompts import Piece, Prompt
from harness.types.images import Images
from harness_plugins.nola_head import NolaHead, confident_images
from harness_plugins.zero_shot import TEMPLATES

from ..makers import unit_rows
from .tasks import IP, JOINT, NAMES, NOUN, OOP_VOCABULARY, images, make_task, tower

ENCODER = "other"
E = 20
"""Size of the second encoder's features."""


def task64(**change: Any) -> Any:
    """A task whose pool is float64, has a second encoder, and is in the order of no class."""
    task = make_task(text=SimpleNamespace(encode=lambda prompts: tower().encode(prompts).double()), **change)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(4))
    pool = images(12, 20)[0][order].double()
    return replace(task, _unlabeled=Images(pool, _kinds={ENCODER: encoded(pool)}))


def encoded(features: torch.Tensor) -> torch.Tensor:
    return F.normalize(features @ unit_rows(features.shape[-1], E, 41).double(), dim=-1)


def text64(names: tuple[str, ...], task: Any) -> np.ndarray:
    """The class features, one name after the other."""
    rows = []
    for name in names:
        ensemble = (template.text.replace("{name}", name).replace("{noun}", NOUN) for template in TEMPLATES)
        prompts = [*task.texts[name], *ensemble]
        mean = tower().encode([Prompt((Piece(text),)) for text in prompts]).double().numpy().mean(axis=0)
        rows.append(mean / np.linalg.norm(mean))
    return np.stack(rows)


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def plain_labels(probability: np.ndarray, count: int) -> list[tuple[int, int]]:
    """(image, name): of each name its best images, of those whose first, else second, else third choice it is."""
    ranking = [sorted(range(len(row)), key=lambda name: -row[name]) for row in probability]
    found = []
    for name in range(probability.shape[1]):
        for choice in range(3):
            own = [i for i in range(len(ranking)) if ranking[i][choice] == name]
            if own:
                break
        found += [(i, name) for i in sorted(own, key=lambda i: -probability[i, name])[:count]]
    return found


def test_labelled_images_are_the_most_confident_of_each_name_and_of_its_later_choices():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(40, 6))
    logits[:, 4] -= 2.0  # seldom or never the first choice
    logits[:, 5] = logits.min(axis=1) - 1  # not among the first three
    probability = softmax(logits)
    assert not (probability.argmax(axis=1) == 5).any()
    for count in (1, 3, 100):
        index, label = confident_images(torch.from_numpy(probability), count)
        assert list(zip(index.tolist(), label.tolist(), strict=True)) == plain_labels(probability, count)
    assert 5 not in label.tolist()
    assert len(confident_images(torch.from_numpy(probability[:, :1]), 3)[0]) == 3


@pytest.mark.parametrize("encoder", [None, ENCODER])
def test_head_matches_the_formulas(encoder):
    share, least, lr, epochs = 0.3, 2, 0.01, 3
    given = {
        "share": share,
        "least": least,
        "lr": lr,
        "batch": 1000,
        "hidden": 7,
        "encoder": encoder,
        "prompts": "both",
    }
    task = task64()
    start = NolaHead(**given, epochs=0).fit(task64())
    method = NolaHead(**given, epochs=epochs).fit(task)
    pool = task.unlabeled.features[:, 0].numpy()
    rows = pool if encoder is None else task.unlabeled.encoded(ENCODER)[:, 0].numpy()
    rows = rows * np.sqrt(rows.shape[1])
    text = text64(NAMES, task)
    labels = plain_labels(softmax(20.0 * pool @ text.T), max(least, int(share * 60 / 5)))
    assert len({name for _, name in labels}) > 2
    z, y = rows[[i for i, _ in labels]], np.eye(5)[[name for _, name in labels]]
    weights = [weight.numpy().copy() for weight in start.weights_]
    assert [weight.shape for weight in weights] == [(z.shape[1], 7), (7,), (7, 5), (5,)]
    assert max(np.abs(weights[0]).max(), np.abs(weights[1]).max()) <= 1 / np.sqrt(z.shape[1])
    first, second = ([np.zeros_like(weight) for weight in weights] for _ in range(2))
    for step in range(epochs):
        w1, b1, w2, b2 = weights
        hidden = np.maximum(z @ w1 + b1, 0)
        error = (softmax(hidden @ w2 + b2) - y) / len(z)
        back = (error @ w2.T) * (hidden > 0)
        gradients = [z.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
        rate = lr * 0.5 * (1 + np.cos(np.pi * step / epochs))
        for i, gradient in enumerate(gradients):
            first[i] = 0.9 * first[i] + 0.1 * gradient
            second[i] = 0.999 * second[i] + 0.001 * gradient**2
            m, v = first[i] / (1 - 0.9 ** (step + 1)), second[i] / (1 - 0.999 ** (step + 1))
            weights[i] = weights[i] - rate * m / (np.sqrt(v) + 1e-8)
    for found, wanted in zip(method.weights_, weights, strict=True):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-7)

    image = images(3, 99)[0].double()
    scored = Images(image, _kinds={ENCODER: encoded(image)})
    x = (image if encoder is None else encoded(image))[:, 0].numpy()
    w1, b1, w2, b2 = weights
    head = np.maximum(np.sqrt(x.shape[1]) * x @ w1 + b1, 0) @ w2 + b2
    probability = softmax(20.0 * image[:, 0].numpy() @ text64((*NAMES, *IP), task).T)
    mass = probability[:, :5].sum(axis=1, keepdims=True)
    wanted = np.concatenate([softmax(head) * mass, probability[:, 5:]], axis=1)
    np.testing.assert_allclose(method.scores(scored, JOINT).softmax(dim=1).numpy(), wanted, rtol=1e-5, atol=1e-8)


def test_the_head_names_the_pool_in_the_tasks_order():
    task = task64()
    method = NolaHead(encoder=ENCODER).fit(task)
    found = method.discovery()
    assert found.name.tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(found.cluster, method.scores(task.unlabeled, OOP_VOCABULARY).argmax(dim=1))
    turned = replace(task64(), _unlabeled=task.unlabeled[torch.arange(59, -1, -1)])
    assert torch.equal(NolaHead(encoder=ENCODER).fit(turned).discovery().cluster, found.cluster.flip(0))
    assert len(set(found.cluster.tolist())) > 2
    assert sum(method.outcome()["labelled"]) >= 16
    assert method.outcome()["features"] == "second encoder"
    assert NolaHead(epochs=1).fit(task64()).outcome()["features"] == "backbone"


def test_without_its_declaration_a_second_encoder_is_not_there():
    with pytest.raises(MethodError, match="the images have no unknown"):
        NolaHead(encoder="unknown").fit(task64())
    paper = build("nola_head", NolaHead, "paper")
    assert paper.encoders == ("vit_base_patch16_224.dino",)
    assert build("nola_head", NolaHead).encoders == ()
