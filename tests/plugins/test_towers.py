"""Methods that tune the towers: adapters and learned tokens against plain formulas, and what they leave as it is."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from timm.models.vision_transformer import Block
from torch import nn

from harness.backbones import openclip
from harness.backbones.private_copy import ModelCopies
from harness.backbones.text import OpenClipTextTower
from harness.conformance.backbone import CONFIG, NAME, tiny_model
from harness.conformance.subject import Subject
from harness.conformance.world import SyntheticDomain
from harness.errors import NotApplicable
from harness.execution.one_thread import one_thread_per_operation
from harness.method import Method
from harness.types.vocabulary import Vocabulary
from harness_plugins._deep_prompts import as_they_are, prompt_image_tower
from harness_plugins._lora import AdaptedAttention, Adapter, Dropout, add_adapters
from harness_plugins.clip_lora import ClipLora
from harness_plugins.maple import Maple
from harness_plugins.promptsrc import PromptSrc, frozen_text, gaussian_weights, regularised_loss
from harness_plugins.vpt import Vpt

from ..makers import unit_rows

DOMAIN = SyntheticDomain()
METHODS: dict[str, type[Any]] = {"clip_lora": ClipLora, "vpt": Vpt, "maple": Maple, "promptsrc": PromptSrc}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread_per_operation(CPU):
        yield


def task64(method: Method) -> Any:
    """A task of the conformance domain whose model and features are float64."""
    model = copy.deepcopy(tiny_model().model).double()
    task = DOMAIN.task(method)
    support = task.support.with_features(task.support.features.double())
    tower = OpenClipTextTower(model, openclip.tokenizer(NAME), CPU)
    return replace(task, text=tower, _support=support, _model=ModelCopies(model, "fp32"))


def random_values(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# -- plain formulas ----------------------------------------------------------------------------------------------------


def plain_norm(norm: Any, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + norm.eps)
    return scaled * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def plain_linear(layer: Any, x: np.ndarray) -> np.ndarray:
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def plain_attention(attention: Any, x: np.ndarray, weight: np.ndarray, causal: bool = False) -> np.ndarray:
    """Self-attention of one sequence ``(l, d)`` with stacked weights ``(3 d, d)``."""
    q, k, v = np.split(x @ weight.T + attention.in_proj_bias.detach().numpy(), 3, axis=1)
    size, heads = x.shape[1] // attention.num_heads, []
    for head in range(attention.num_heads):
        part = slice(head * size, (head + 1) * size)
        score = np.exp(q[:, part] @ k[:, part].T / np.sqrt(size)) * (np.tri(len(x)) if causal else 1)
        heads.append(score / score.sum(axis=1, keepdims=True) @ v[:, part])
    return plain_linear(attention.out_proj, np.hstack(heads))


def plain_block(block: Any, x: np.ndarray, causal: bool = False) -> np.ndarray:
    attention = block.attn
    x = x + plain_attention(attention, plain_norm(block.ln_1, x), attention.in_proj_weight.detach().numpy(), causal)
    inner = torch.from_numpy(plain_linear(block.mlp.c_fc, plain_norm(block.ln_2, x)))
    return x + plain_linear(block.mlp.c_proj, F.gelu(inner).numpy())


def plain_image(visual: Any, pixels: torch.Tensor, tokens: list[np.ndarray]) -> np.ndarray:
    """Features ``(d,)`` of one image ``(3, h, w)``; ``tokens`` are those of the first blocks."""
    n, size = len(tokens[0]), visual.patch_size[0]
    kernel = visual.conv1.weight.detach().numpy()
    rows = [visual.class_embedding.detach().numpy()]
    for top in range(0, pixels.shape[1], size):
        for left in range(0, pixels.shape[2], size):
            patch = pixels[:, top : top + size, left : left + size].numpy()
            rows.append((kernel * patch).sum(axis=(1, 2, 3)))
    x = np.stack(rows) + visual.positional_embedding.detach().numpy()
    x = plain_norm(visual.ln_pre, np.vstack([x, tokens[0]]))
    for i, block in enumerate(visual.transformer.resblocks):
        if 0 < i < len(tokens):
            x = np.vstack([x[:-n], tokens[i]])
        x = plain_block(block, x)
    return plain_norm(visual.ln_post, x)[0] @ visual.proj.detach().numpy()


def plain_text(model: Any, ids: list[int], tokens: list[np.ndarray]) -> np.ndarray:
    """Unit features ``(d,)`` of a prompt's token ids, start and end included; learned tokens follow the start."""
    n = len(tokens[0])
    x = model.token_embedding.weight.detach().numpy()[ids].copy()
    x[1 : 1 + n] = tokens[0]
    x += model.positional_embedding.detach().numpy()[: len(ids)]
    for i, block in enumerate(model.transformer.resblocks):
        if 0 < i < len(tokens):
            x[1 : 1 + n] = tokens[i]
        x = plain_block(block, x, causal=True)
    last = plain_norm(model.ln_final, x)[-1] @ model.text_projection.detach().numpy()
    return last / np.linalg.norm(last)


def arrays(rows: list[torch.Tensor]) -> list[np.ndarray]:
    return [row.detach().double().numpy() for row in rows]


# -- adapters ----------------------------------------------------------------------------------------------------------


def adapter_for(width: int, dropout: Dropout, seed: int = 1) -> Adapter:
    made = Adapter(task64(ClipLora()), width, 2, 0.7, dropout, 3)
    made.up.copy_(random_values(3, width, 2, seed=seed))
    return made


def merged_weight(attention: Any, adapter: Adapter) -> np.ndarray:
    down, parts = adapter.down.numpy(), []
    for i, weight in enumerate(np.split(attention.in_proj_weight.detach().numpy(), 3)):
        parts.append(weight + 0.7 * adapter.up[i].numpy() @ down[2 * i : 2 * i + 2])
    return np.vstack(parts)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("separate", [False, True])
def test_adapted_attention_is_attention_with_merged_weights(causal, separate):
    """In both ways to compute it: with merged weights, and next to the frozen ones, as with dropout."""
    dropout = Dropout(0.0)
    plain, adapter = nn.MultiheadAttention(24, 4, batch_first=True).double().eval(), adapter_for(24, dropout)
    dropout.seed = 5 if separate else None
    nn.init.normal_(plain.in_proj_bias)
    x = random_values(2, 6, 24)
    mask = torch.full((6, 6), -torch.inf, dtype=torch.float64).triu(1) if causal else None
    found, weights = AdaptedAttention(plain, adapter)(x, x, x, need_weights=False, attn_mask=mask)
    weight = merged_weight(plain, adapter)
    expected = [plain_attention(plain, row.numpy(), weight, causal) for row in x]
    assert weights is None
    np.testing.assert_allclose(found.detach().numpy(), np.stack(expected), rtol=1e-10, atol=1e-12)
    merged = copy.deepcopy(plain)
    merged.in_proj_weight.data = torch.from_numpy(weight)
    torch.testing.assert_close(found, merged(x, x, x, need_weights=False, attn_mask=mask)[0], rtol=1e-10, atol=1e-12)


def test_dropout_is_on_the_input_of_the_adapter_alone():
    dropout, x = Dropout(0.25), random_values(5, 400, 24)
    adapter = adapter_for(24, dropout)
    whole = adapter(x)
    dropout.seed = 11
    kept = dropout(x, 3).numpy()
    assert set(np.unique(kept != 0)) == {False, True}
    assert (kept == 0).mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_allclose(kept[kept != 0], x.numpy()[kept != 0] / 0.75, rtol=1e-12)
    assert not np.array_equal(kept, dropout(x, 4).numpy()), "layers have masks of their own"
    change = merged_weight(_Zero, adapter)
    np.testing.assert_allclose(whole.numpy(), x.numpy() @ change.T, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(adapter(x).numpy(), kept @ change.T, rtol=1e-9, atol=1e-10)


class _Zero:
    in_proj_weight = torch.zeros(72, 24, dtype=torch.float64)


def test_adapters_of_timm_change_their_projection():
    block, x = Block(24, 4, qkv_bias=True).double().eval(), random_values(2, 5, 24)
    changed = copy.deepcopy(block)
    (adapter,) = add_adapters(task64(ClipLora()), nn.Sequential(changed), 2, 0.7, Dropout(0.0), 0)
    torch.testing.assert_close(changed(x), block(x), rtol=0, atol=0)
    adapter.up.copy_(random_values(3, 24, 2))
    block.attn.qkv.weight.data += adapter.weight()
    torch.testing.assert_close(changed(x), block(x), rtol=1e-10, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("towers", ["both", "text", "vision"])
def test_untrained_adapters_change_no_bit(towers):
    method = ClipLora(epochs=0, towers=towers)
    task, scored = DOMAIN.task(method), Subject("clip_lora", ClipLora()).images(DOMAIN)
    method.fit(task)
    frozen = ModelCopies(tiny_model().model, "fp32")
    tokens = task.text.tokenize([task.template.fill(name, task.noun) for name in task.names])
    text = task.text.on(frozen()).encode_tokens(tokens)
    found = method.encode_text(method.tokenize(task.vocabulary))
    torch.testing.assert_close(found, text, rtol=0, atol=1e-6 if towers == "vision" else 0)
    if towers != "text":
        image = frozen.encode_image(frozen(), scored.pixels(torch.arange(len(scored))))
        assert torch.equal(method.encode(scored).features[:, 0], image)


def test_steps_for_each_shot_replace_epochs():
    calls: list[tuple[int, int]] = []
    method = ClipLora(steps_per_shot=3, batch=8)
    method.fit(replace(DOMAIN.task(method), progress=lambda done, total: calls.append((done, total))))
    assert calls[-1] == (12, 12), "3 steps for each of 4 shots, of 20 images in 3 batches an epoch"


# -- learned tokens ----------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_prompted_image_tower_is_the_plain_formula(depth):
    torch.manual_seed(0)
    visual = VisionTransformer(16, 8, width=32, layers=3, heads=4, mlp_ratio=2, output_dim=12).double().eval()
    pixels, rows = random_values(2, 3, 16, 16), list(random_values(depth, 5, 32, seed=4).unbind())
    expected = np.stack([plain_image(visual, one, arrays(rows)) for one in pixels])
    before = visual(pixels)
    prompt_image_tower(visual, list(visual.transformer.resblocks), as_they_are(rows))
    np.testing.assert_allclose(visual(pixels).numpy(), expected, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(before, visual(pixels), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("name", ["maple", "promptsrc"])
def test_prompted_towers_are_the_plain_formula(name, depth):
    words = 3  # "of a" or "a" stay text
    method = METHODS[name](epochs=0, depth=depth, words=words)
    task = task64(method)
    method.fit(task)
    rows = arrays(method.rows_)
    assert [row.shape[0] for row in rows] == [words] * depth
    np.testing.assert_array_equal(rows[0], task.text.token_embedding("a photo of").numpy())
    encode = openclip.tokenizer(NAME)
    found = method.encode_text(method.tokenize(task.vocabulary))
    for one, concept in zip(found, task.names, strict=True):
        ids = encode([f"a photo of a {concept}."])[0]
        ids = ids[: int(ids.argmax()) + 1].tolist()
        plain = plain_text(tiny_model64(), ids, rows)
        np.testing.assert_allclose(one.numpy(), plain, rtol=1e-7, atol=1e-9)
    tokens = [values.double().numpy() for values in method.parameters_[depth:]]
    if name == "maple":  # weight and bias of every block
        tokens = [r @ w.T + b for r, w, b in zip(rows, tokens[::2], tokens[1::2], strict=True)]
    pixels = random_values(3, 16, 16, seed=9)
    image = method.model_.encode_image(pixels[None])[0]
    np.testing.assert_allclose(image.numpy(), plain_image(tiny_model64().visual, pixels, tokens), rtol=1e-7, atol=1e-9)


@cache
def tiny_model64() -> Any:
    return copy.deepcopy(tiny_model().model).double()


def test_loss_of_promptsrc_is_the_formula():
    image, frozen_image = (unit_rows(6, 8, seed).double().numpy() for seed in (1, 2))
    text, frozen = (unit_rows(4, 8, seed).double().numpy() for seed in (3, 4))
    label = np.array([0, 3, 1, 1, 2, 0])

    def probabilities(x, t):
        scores = np.exp(20 * x @ t.T)
        return scores / scores.sum(axis=1, keepdims=True)

    new, old = probabilities(image, text), probabilities(frozen_image, frozen)
    expected = -np.mean([np.log(row[y]) for row, y in zip(new, label, strict=True)])
    expected += 25 * np.abs(text - frozen).sum() / text.size + 10 * np.abs(image - frozen_image).sum() / image.size
    expected += (old * np.log(old / new)).sum() / new.size
    tensors = (torch.from_numpy(value) for value in (image, text, frozen_image, frozen, label))
    assert float(regularised_loss(*tensors, 20.0)) == pytest.approx(float(expected), rel=1e-12)


def test_weights_of_epochs_are_gaussian():
    found = gaussian_weights(20, 15, 1)
    density = [np.exp(-((epoch - 15) ** 2) / 2) for epoch in range(1, 21)]
    np.testing.assert_allclose(found, np.array(density) / sum(density), rtol=1e-12)
    assert gaussian_weights(0, 15, 1) == []


def test_promptsrc_learns_the_weighted_mean_of_its_epochs(monkeypatch):
    seen: list[list[torch.Tensor]] = []
    learn = PromptSrc.learn

    def spy(self, rows, loss, each_epoch):
        def record(epoch: int) -> None:
            seen.append([row.detach().clone() for row in rows])
            each_epoch(epoch)

        learn(self, rows, loss, each_epoch=record)

    monkeypatch.setattr(PromptSrc, "learn", spy)
    method = PromptSrc(epochs=3, mean=2.0, deviation=1.0)
    method.fit(DOMAIN.task(method))
    weights = gaussian_weights(3, 2.0, 1.0)
    for i, row in enumerate(method.parameters_):
        mean = sum(w * epoch[i] for w, epoch in zip(weights, seen, strict=True))
        torch.testing.assert_close(row, mean)
        assert not torch.equal(row, seen[-1][i])


def test_frozen_text_is_the_mean_of_features_as_they_are():
    task = DOMAIN.task(PromptSrc())
    first = frozen_text(task)
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    texts = [words(task.names[0]) for words in OPENAI_IMAGENET_TEMPLATES]
    with torch.no_grad():
        features = tiny_model().model.encode_text(openclip.tokenizer(NAME)(texts))
    torch.testing.assert_close(first[0], F.normalize(features.mean(dim=0), dim=0), rtol=1e-4, atol=1e-5)


# -- what is left as it is ---------------------------------------------------------------------------------------------


def fitted(name: str, **parameters: Any) -> Any:
    method = METHODS[name](**parameters)
    return method.fit(DOMAIN.task(method))


@pytest.mark.parametrize("name", METHODS)
def test_frozen_weights_are_shared_and_unchanged(name):
    before = tiny_model().fingerprint()
    method = fitted(name, epochs=2)
    assert tiny_model().fingerprint() == before
    own = {weight.data_ptr() for weight in tiny_model().model.parameters()}
    assert {weight.data_ptr() for weight in method.model_.parameters()} == own
    assert method.trainable() == sum(value.numel() for value in method.parameters_) < 5000


@pytest.mark.parametrize("name", METHODS)
def test_training_reduces_the_loss(name):
    support = DOMAIN.task(METHODS[name]()).support

    def loss(method: Any) -> float:
        with torch.no_grad():
            scores = method.scores(method.encode(support), DOMAIN.vocabulary)
        return float(F.cross_entropy(scores, support.label))

    assert loss(fitted(name)) < loss(fitted(name, epochs=0))


@pytest.mark.parametrize("name", METHODS)
def test_checkpointing_learns_the_same(name):
    one, other = (fitted(name, epochs=3, checkpointing=value) for value in (False, True))
    for plain, again in zip(one.parameters_, other.parameters_, strict=True):
        torch.testing.assert_close(again, plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_names_of_a_vocabulary_are_encoded_once(name, monkeypatch):
    method, calls = fitted(name, epochs=1), []
    scored = method.encode(Subject(name, method).images(DOMAIN))
    encode = type(method).encode_text
    monkeypatch.setattr(type(method), "encode_text", lambda self, tokens: calls.append(1) or encode(self, tokens))
    joint = Vocabulary.of(DOMAIN.noun, oop=DOMAIN.names, ip=DOMAIN.foreign)
    with torch.no_grad():
        parts = [method.scores(part, joint) for part in (scored[:5], scored[5:])]
        whole = method.scores(scored, DOMAIN.vocabulary)
    assert len(calls) == 2
    torch.testing.assert_close(torch.cat(parts)[:, : len(DOMAIN.names)], whole, rtol=1e-4, atol=1e-4)


# -- other towers ------------------------------------------------------------------------------------------------------


@cache
def resnet() -> Any:
    vision = {"image_size": 16, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "patch_size": None}
    openclip.register_architecture("towers-resnet", {**CONFIG, "vision_cfg": vision})
    return openclip.random_model("towers-resnet").eval().requires_grad_(False)


@pytest.mark.parametrize("name", METHODS)
def test_a_resnet_is_not_applicable(name):
    method = METHODS[name]()
    with pytest.raises(NotApplicable, match=f"{name} works with vision towers of transformer blocks") as error:
        method.fit(replace(DOMAIN.task(method), _model=ModelCopies(resnet(), "fp32")))
    assert "this one is a ModifiedResNet" in error.value.message
    assert "ViT-B-16" in (error.value.hint or "")


def test_adapters_of_the_text_need_neither_pixels_nor_a_transformer():
    method = ClipLora(towers="text", epochs=2)
    assert method.needs.declared() == ("support", "model")
    tower = OpenClipTextTower(resnet(), openclip.tokenizer(NAME), CPU)
    method.fit(replace(DOMAIN.task(method), _model=ModelCopies(resnet(), "fp32"), text=tower))
    scored = Subject("clip_lora", method).images(DOMAIN)
    assert method.encode(scored) is scored
    assert method.trainable() == 2 * (6 * 32 + 3 * 32 * 2)
