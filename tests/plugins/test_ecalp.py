"""ECALP against the propagation over the whole graph, with loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.types.images import Images
from harness.types.vocabulary import Vocabulary
from harness_plugins.ecalp import ECALP

from ..makers import unit_rows
from .numpy_formulas import NAMES, NOUN, SIZE, plain_task
from .tasks import IP_VOCABULARY, OOP_VOCABULARY, images, make_task, quick


def plain_scores(stream, text, support, label, rounds, shots, power=2.0):
    """Scores of every image of a stream: all links, all rows, in every round."""
    k, m = len(text), len(support)
    of_text = text.var(axis=0) / np.linalg.norm(text.var(axis=0))
    of_shots = 1 / support.var(axis=0) if m else np.ones(text.shape[1])
    of_shots = of_shots / np.linalg.norm(of_shots)
    fixed = np.vstack([np.eye(k), np.eye(k)[label]])
    w, start, found = np.zeros((k + m, k + m)), [], []

    def strongest(similarity, count):
        kept = np.argsort(-similarity)[:count]
        weight = np.zeros(len(similarity))
        weight[kept] = np.maximum(similarity[kept], 0) ** power
        return weight

    for t, x in enumerate(stream):
        earlier, known = (
            rows @ (v * x / np.linalg.norm(v * x)) for rows, v in ((stream[:t], of_text), (support, of_shots))
        )
        weight = [strongest(text @ x, 2), strongest(known, shots), strongest(earlier, 2)]
        row = np.concatenate(weight)
        w = np.block([[w, row[:, None]], [row[None], np.zeros((1, 1))]])
        root = 1 / np.sqrt(np.maximum(w.sum(axis=1), 1e-30))
        y = np.vstack([fixed, *start, np.zeros((1, k))])
        for _ in range(rounds):
            y = root[:, None] * w @ (root[:, None] * y)
            y[: k + m] = fixed
        found.append(np.log(np.maximum(y[-1] / max(y[-1].sum(), 1e-30), 1e-12)))
        start.append(np.eye(k)[[y[-1].argmax()]] * y[-1].max() / 5)
    return np.stack(found)


@pytest.mark.parametrize(("rounds", "few_shot"), [(1, True), (2, True), (3, True), (3, False), (4, True)])
def test_scores_are_those_of_the_whole_graph(rounds, few_shot):
    task = plain_task()
    text = task.text.encode([task.template.fill(name, NOUN) for name in NAMES])
    stream = F.normalize(text[torch.arange(80) % 3] + unit_rows(80, SIZE, 5).double(), dim=1)
    support, label = task.support.features[:, 0].numpy(), task.support.label.numpy()
    if not few_shot:
        support, label = support[:0], label[:0]
    wanted = plain_scores(stream.numpy(), text.numpy(), support, label, rounds, 3)
    method = ECALP(names=2, images=2, shots=3, power=2.0, rounds=rounds, few_shot=few_shot).fit(task)
    found = torch.cat([method.scores(Images.of(x[None]), task.vocabulary) for x in stream])
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)


def test_vocabularies_have_streams_of_their_own_and_use_their_names_support():
    method, image = quick("ecalp").fit(make_task()), images(2, 99)[0]
    one = torch.cat([method.scores(Images(x[None]), OOP_VOCABULARY) for x in image])
    method = quick("ecalp").fit(make_task())
    for x in image:
        method.scores(Images(x[None]), IP_VOCABULARY)
    assert len(method.streams_[IP_VOCABULARY].node) == len(IP_VOCABULARY)
    again = torch.cat([method.scores(Images(x[None]), OOP_VOCABULARY) for x in image])
    assert torch.equal(one, again)
    two = Vocabulary.of("animal", oop=OOP_VOCABULARY.names[1:3])
    method.scores(Images(image[:1]), two)
    assert len(method.streams_[two].node) == 2 + 2 * 4
