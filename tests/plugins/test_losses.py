"""The loss of every trained method, and its gradient, against the formula written out with numpy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from harness.method import build
from harness_plugins._training import Batch, TrainedMethod
from harness_plugins.clip_adapter import ClipAdapter
from harness_plugins.cocoop import CoCoOp
from harness_plugins.coop import CoOp
from harness_plugins.fsnl import FSNL
from harness_plugins.learning_to_name import LearningToName
from harness_plugins.taskres import TaskRes

from .numpy_formulas import CAPTIONS, NAMES, NOUN, SCALE, embedding, feature, plain_task, raw_feature, words

TASK = plain_task()
IMAGE = TASK.support.features[:, 0].numpy()
LABEL = TASK.support.label.tolist()


def cross_entropy(image: np.ndarray, text: np.ndarray) -> float:
    """Mean over images of -log(the share of the own name); text is (k, d), or (n, k, d) with texts of each image."""
    losses = []
    for i, (x, y) in enumerate(zip(image, LABEL, strict=True)):
        own = text[i] if text.ndim == 3 else text
        exponentials = [np.exp(SCALE * float(x @ t)) for t in own]
        losses.append(-np.log(exponentials[y] / sum(exponentials)))
    return float(np.mean(losses))


def contrastive(image: np.ndarray, text: np.ndarray, own: list[int], other: list[int]) -> float:
    """Half the image-to-text and half the text-to-image loss; each -log of the share of all of the same class."""

    def one_way(a: np.ndarray, b: np.ndarray, own: list[int], other: list[int]) -> float:
        losses = []
        for x, y in zip(a, own, strict=True):
            shares = np.exp([SCALE * float(x @ t) for t in b])
            good = sum(s for s, z in zip(shares, other, strict=True) if z == y)
            if good > 0:
                losses.append(-np.log(good / shares.sum()))
        return float(np.mean(losses))

    return (one_way(image, text, own, other) + one_way(text, image, other, own)) / 2


def prompt(*parts: np.ndarray | str) -> np.ndarray:
    """The feature of a prompt of texts and of embedding rows."""
    rows = [part if isinstance(part, np.ndarray) else [embedding(word) for word in words(part)] for part in parts]
    return feature(np.concatenate([np.asarray(r).reshape(-1, len(embedding("x"))) for r in rows]))


PROMPTS = [np.stack([embedding(word) for word in words(f"a photo of {name}, a type of {NOUN}.")]) for name in NAMES]
RAW = np.stack([raw_feature(rows) for rows in PROMPTS])
ZERO_SHOT = np.stack([feature(rows) for rows in PROMPTS])


def normalised(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def coop(rows: np.ndarray) -> float:
    return cross_entropy(IMAGE, np.stack([prompt(rows, f"{name}.") for name in NAMES]))


def coop_in_the_middle(rows: np.ndarray) -> float:
    return cross_entropy(IMAGE, np.stack([prompt(rows[:2], name, rows[2:], ".") for name in NAMES]))


def coop_in_front(rows: np.ndarray) -> float:
    return cross_entropy(IMAGE, np.stack([prompt(name, rows, ".") for name in NAMES]))


def coop_of_each_class(rows: np.ndarray) -> float:
    own = np.split(rows, len(NAMES))
    return cross_entropy(IMAGE, np.stack([prompt(each, f"{name}.") for each, name in zip(own, NAMES, strict=True)]))


def coop_of_each_class_in_the_middle(rows: np.ndarray) -> float:
    texts = [prompt(own[:1], n, own[1:], ".") for own, n in zip(np.split(rows, len(NAMES)), NAMES, strict=True)]
    return cross_entropy(IMAGE, np.stack(texts))


def cocoop(rows: np.ndarray, down: np.ndarray, bias: np.ndarray, up: np.ndarray, shift: np.ndarray) -> float:
    texts = []
    for x in IMAGE:
        moved = np.maximum(down @ x + bias, 0)
        texts.append(np.stack([prompt(rows + up @ moved + shift, f"{name}.") for name in NAMES]))
    return cross_entropy(IMAGE, np.stack(texts))


def clip_adapter(down: np.ndarray, up: np.ndarray) -> float:
    moved = [np.maximum(up @ np.maximum(down @ x, 0), 0) for x in IMAGE]
    return cross_entropy(normalised(0.2 * np.stack(moved) + 0.8 * IMAGE), ZERO_SHOT)


def taskres(residual: np.ndarray) -> float:
    return cross_entropy(IMAGE, normalised(ZERO_SHOT + 0.5 * residual))


def taskres_raw(residual: np.ndarray) -> float:
    return cross_entropy(IMAGE, normalised(RAW + 0.5 * residual))


def named(rows: np.ndarray, length: int | None) -> list[np.ndarray]:
    counts = [length or len(words(name)) for name in NAMES]
    return np.split(rows, np.cumsum(counts)[:-1])


def learning_to_name(rows: np.ndarray) -> float:
    texts = [prompt("a photo of", own, f", a type of {NOUN}.") for own in named(rows, 1)]
    return cross_entropy(IMAGE, np.stack(texts))


def fsnl(rows: np.ndarray) -> float:
    own = named(rows, None)
    names = np.stack([prompt("a photo of", each, f", a type of {NOUN}.") for each in own])
    first = contrastive(IMAGE, names, LABEL, [0, 1, 2])
    captions, labels = [], []
    for caption, y in zip(CAPTIONS, LABEL, strict=True):
        if caption is not None:
            before, _, after = caption.partition(NAMES[y])
            captions.append(prompt(before, own[y], after))
            labels.append(y)
    return 0.7 * first + 0.3 * contrastive(IMAGE, np.stack(captions), LABEL, labels) + anchor(names, 5.0)


def anchor(names: np.ndarray, weight: float) -> float:
    """Every name is held to its prompt by the probability that zero-shot gives it for its images, above chance."""
    total = 0.0
    for k in range(len(NAMES)):
        shares = [np.exp(SCALE * ZERO_SHOT @ x) for x, y in zip(IMAGE, LABEL, strict=True) if y == k]
        known = np.mean([share[k] / share.sum() for share in shares]) - 1 / len(NAMES)
        total += max(known, 0) / (1 - 1 / len(NAMES)) * float(np.square(names[k] - ZERO_SHOT[k]).sum())
    return weight / max(TASK.shots, 1) * total / len(NAMES)


def clip_loss(rows: np.ndarray) -> float:
    """Of CLIP: an image is right for its own caption and no other; the image without a caption is wrong for all."""
    own, captions, whose = named(rows, None), [], []
    for i, (caption, y) in enumerate(zip(CAPTIONS, LABEL, strict=True)):
        if caption is not None:
            before, _, after = caption.partition(NAMES[y])
            captions.append(prompt(before, own[y], after))
            whose.append(i)
    return contrastive(IMAGE, np.stack(captions), list(range(len(IMAGE))), whose)


CASES = [
    pytest.param(CoOp(), coop, id="coop"),
    pytest.param(CoOp(length=3), coop, id="coop-noise"),
    pytest.param(CoOp(position="middle"), coop_in_the_middle, id="coop-middle"),
    pytest.param(CoOp(position="front"), coop_in_front, id="coop-front"),
    pytest.param(CoOp(class_specific=True), coop_of_each_class, id="coop-csc"),
    pytest.param(
        CoOp(class_specific=True, position="middle", length=3), coop_of_each_class_in_the_middle, id="coop-csc-middle"
    ),
    pytest.param(CoCoOp(), cocoop, id="cocoop"),
    pytest.param(ClipAdapter(), clip_adapter, id="clip_adapter"),
    pytest.param(TaskRes(), taskres, id="taskres"),
    pytest.param(TaskRes(base="raw"), taskres_raw, id="taskres-raw"),
    pytest.param(LearningToName(), learning_to_name, id="learning_to_name"),
    pytest.param(FSNL(swap="none", captions_per_class=None, caption_weight=0.3, anchor=5.0), fsnl, id="fsnl"),
    pytest.param(build("fsnl", FSNL, "clip-loss"), clip_loss, id="fsnl-clip-loss"),
]


@pytest.mark.parametrize(("method", "formula"), CASES)
def test_loss_and_gradient_match_formula(monkeypatch, method: TrainedMethod, formula: Any) -> None:
    seen: dict[str, Any] = {}

    def keep(self, task, parameters, loss, *args, **kwargs):
        seen.update(parameters=list(parameters), loss=loss)

    monkeypatch.setattr(TrainedMethod, "train", keep)
    method.fit(plain_task())
    generator = np.random.default_rng(5)
    for parameter in seen["parameters"]:  # away from where it starts, where a gradient may be zero by symmetry
        assert parameter.dtype == torch.float64
        parameter += 0.1 * torch.from_numpy(generator.normal(size=tuple(parameter.shape)))
        parameter.requires_grad_(True)
    values = [parameter.detach().numpy().copy() for parameter in seen["parameters"]]
    loss = seen["loss"](
        Batch(torch.arange(6), torch.zeros(6), torch.from_numpy(IMAGE), torch.tensor(LABEL), TASK.support)
    )
    assert loss.item() == pytest.approx(formula(*values), rel=1e-12)
    loss.backward()
    step = 1e-5
    for parameter, value in zip(seen["parameters"], values, strict=True):
        for place in generator.choice(value.size, size=min(value.size, 12), replace=False):
            where = np.unravel_index(place, value.shape)
            kept = value[where]
            sides = []
            for moved in (kept + step, kept - step):
                value[where] = moved
                sides.append(formula(*values))
            value[where] = kept
            assert parameter.grad[where].item() == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-5, abs=1e-8)
