"""TCP, UPL and inversion: what enters the text tower, and which images are learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.backbones import openclip
from harness.conformance.backbone import NAME
from harness.conformance.world import SyntheticDomain
from harness.errors import NotApplicable
from harness.execution.one_thread import one_thread_per_operation
from harness.prompts import Piece, Prompt
from harness_plugins._training import Batch
from harness_plugins.nola_head import confident_images
from harness_plugins.palavra import Palavra
from harness_plugins.tcp import TCP
from harness_plugins.upl import UPL

from .numpy_formulas import NAMES, NOUN, SCALE, embedding, feature, plain_task, words
from .tasks import JOINT, OOP_VOCABULARY, images, make_task, quick, seen
from .test_towers import arrays, plain_text, task64, tiny_model64

DOMAIN = SyntheticDomain()


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread_per_operation(torch.device("cpu")):
        yield


# -- tcp ---------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_tcp_tokens_are_a_bottleneck_of_the_text_feature():
    method = TCP(epochs=0)
    task = task64(method)
    method.fit(task)
    down, bias, up, last = arrays(method.net_)
    text = task.text.encode([task.template.fill(name, task.noun) for name in task.names]).double().numpy()
    hidden = text @ down + bias
    hidden = hidden / (1 + np.exp(-1.702 * hidden))
    expected = (hidden @ up + last).reshape(len(text), 4, task.text.width)
    np.testing.assert_allclose(method.tokens_of(torch.from_numpy(text)).numpy(), expected, rtol=1e-10)
    assert down.shape == (text.shape[1], text.shape[1] // 4)


@torch.no_grad()
def test_tcp_replaces_the_context_before_its_block():
    method = TCP(epochs=0, block=1)
    task = task64(method)
    method.fit(task)
    text = task.text.encode([task.template.fill(name, task.noun) for name in task.names])
    context = method.context_.rows.numpy()
    tokens = method.tokens_of(text).numpy()
    found = method.encode_text(method.tokenize(task.vocabulary))
    encode = openclip.tokenizer(NAME)
    for one, own, name in zip(found, tokens, task.names, strict=True):
        ids = encode([f"a photo of a {name}."])[0]
        ids = ids[: int(ids.argmax()) + 1].tolist()
        np.testing.assert_allclose(one.numpy(), plain_text(tiny_model64(), ids, [context, own]), rtol=1e-7, atol=1e-9)


def test_tcp_loss_holds_new_texts_at_the_frozen_ones():
    free, held = TCP(epochs=5, lr=0.01, hold=0.0), TCP(epochs=5, lr=0.01, hold=100.0)
    cosine = []
    for method in (free, held):
        task = DOMAIN.task(method)
        method.fit(task)
        text = task.text.encode([task.template.fill(name, task.noun) for name in task.names])
        cosine.append(float((method.encode_text(method.tokenize(task.vocabulary)) * text).sum(dim=1).mean()))
    assert cosine[1] > cosine[0]
    assert held.needs.declared() == ("support", "model")


# -- upl ---------------------------------------------------------------------------------------------------------------


def test_upl_labels_the_most_certain_images_of_each_predicted_name():
    probability = torch.tensor([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.7, 0.2, 0.1], [0.2, 0.8, 0]])
    index, label = confident_images(probability, 2, choices=1)
    assert sorted(zip(index.tolist(), label.tolist(), strict=True)) == [(0, 0), (2, 0), (3, 1)]


def test_upl_learns_as_coop_from_its_labels():
    task = make_task(_support=None, _validation=None)
    method = UPL(epochs=3, per_name=4).fit(task)
    pool = task.unlabeled.features[:, 0]
    text = task.text.encode([task.template.fill(name, task.noun) for name in task.names])
    p = (20.0 * pool @ text.T).softmax(dim=1)
    answer = p.argmax(dim=1)
    assert method.outcome()["labelled"] == torch.bincount(answer, minlength=5).clamp_max(4).tolist()
    image = images(2, 99)[0][:, 0]
    prompts = [Prompt((Piece("x", "own"), Piece(f" {name}."))) for name in JOINT.names]
    learned = task.text.encode(prompts, {"own": method.context_.rows})
    torch.testing.assert_close(method.scores(seen(image), JOINT), 20.0 * image @ learned.T, rtol=1e-4, atol=1e-4)


def test_upl_members_are_averaged_and_pool_order_does_not_matter():
    task, image = make_task(_support=None, _validation=None), images(2, 99)[0][:, 0]
    method = UPL(epochs=2, members=2, length=3).fit(task)
    first, second = (context.rows for context in method.contexts_)
    assert not torch.allclose(first, second)
    both = [replace_contexts(method, [context]).scores(seen(image), OOP_VOCABULARY) for context in method.contexts_]
    method = UPL(epochs=2, members=2, length=3).fit(make_task(_unlabeled=task.unlabeled[torch.arange(59, -1, -1)]))
    torch.testing.assert_close(method.scores(seen(image), OOP_VOCABULARY), (both[0] + both[1]) / 2)


def replace_contexts(method, contexts):
    other = replace(method)
    other.task_, other.contexts_ = method.task_, contexts
    return other


# -- palavra -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("negatives", ["all", "noun"])
def test_palavra_loss_matches_formula(monkeypatch, negatives):
    task, losses = plain_task(), []

    def train(self, task, parameters, loss, batch=None, support=None):
        index = torch.arange(len(support.label))
        losses.append(float(loss(Batch(index, index * 0, support.features[:, 0], support.label, support))))

    monkeypatch.setattr(Palavra, "train", train)
    method = Palavra(negatives=negatives)
    method.fit(task)
    assert torch.equal(method.names_.rows, task.text.token_embedding(NOUN).repeat(3, 1))
    x, y = task.support.features[:, 0].numpy(), task.support.label.numpy()
    mean = np.stack([x[y == k].mean(axis=0) for k in range(3)])
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    prompt = words(task.template.fill(NOUN, NOUN).text)  # each word starts as the noun
    text = np.stack([feature(np.stack([embedding(word) for word in prompt]))] * 3)
    coarse = feature(np.stack([embedding(word) for word in words(f"a photo of a {NOUN}.")]))
    expected = []
    for k in range(3):
        wrong = [text[j] @ mean[k] for j in range(3) if j != k] if negatives == "all" else []
        logits = SCALE * np.array([text[k] @ mean[k], *wrong, coarse @ mean[k]])
        expected.append(np.log(np.exp(logits).sum()) - logits[0])
    assert losses == [pytest.approx(np.mean(expected), rel=1e-9)]
    assert len(NAMES) == 3


def test_palavra_learns_one_word_a_class():
    method = quick("palavra", epochs=3).fit(make_task())
    assert method.trainable() == 5 * 32
    image = images(2, 99)[0][:, 0]
    prompts = [method.task_.template.fill(name, "animal") for name in OOP_VOCABULARY.names]
    text = method.task_.text.encode(prompts, method.names_.overrides())
    torch.testing.assert_close(method.scores(seen(image), OOP_VOCABULARY), 20.0 * image @ text.T, rtol=1e-4, atol=1e-4)


def test_tcp_refuses_other_text_towers():
    method = TCP(epochs=0)
    task = DOMAIN.task(method)

    def without_blocks(train=None):
        model = task.model(train)
        model.transformer = torch.nn.Identity()
        return model

    with pytest.raises(NotApplicable, match="tcp works with text towers"):
        method.fit(replace(task, _model=type("M", (), {"__call__": lambda self, train=None: without_blocks(train)})()))
