"""The text tower over a copy of its model: gradients, hooks and changed modules count, and nothing is cached."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.backbones.text import OpenClipTextTower
from harness.prompts import Template

from ..towers import CONFIGS, make_model, make_tower

NAMES = ("ibex", "rose hip")
PROMPTS = [Template().fill(name, "animal") for name in NAMES]
CLOSE = {"rtol": 0, "atol": 1e-5}


class Wrapped(nn.Module):
    """A model inside of another module that passes attributes on, as peft's are."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.inner, name)


@cache
def frozen(architecture: str) -> tuple[Any, OpenClipTextTower]:
    model = make_model(architecture)
    return model, make_tower(architecture, model)


@pytest.fixture(params=list(CONFIGS))
def tower(request: pytest.FixtureRequest) -> OpenClipTextTower:
    return frozen(request.param)[1]


@pytest.fixture
def model(tower: OpenClipTextTower) -> Any:
    return copy.deepcopy(next(model for model, made in map(frozen, CONFIGS) if made is tower))


def text_part(model: Any) -> Any:
    return model.text if hasattr(model, "text") else model


def own_rows(tower: OpenClipTextTower) -> dict[str, Tensor]:
    return {name: tower.token_embedding(name) for name in NAMES}


@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped, lambda model: Wrapped(Wrapped(model))])
def test_an_unchanged_copy_gives_the_frozen_features(tower: OpenClipTextTower, model: Any, wrap: Any) -> None:
    ours = tower.on(wrap(model))
    torch.testing.assert_close(ours.encode(PROMPTS), tower.encode(PROMPTS), **CLOSE)
    torch.testing.assert_close(ours.encode(PROMPTS, own_rows(ours)), tower.encode(PROMPTS), **CLOSE)
    torch.testing.assert_close(ours.norms(PROMPTS), tower.norms(PROMPTS), rtol=1e-5, atol=0)
    assert torch.equal(ours.tokenize(PROMPTS).ids, tower.tokenize(PROMPTS).ids)
    assert ours.encode([]).shape == (0, 24)


@pytest.mark.parametrize("learned", [False, True])
def test_gradients_flow_into_weights_that_require_them(tower: OpenClipTextTower, model: Any, learned: bool) -> None:
    part = text_part(model)
    trained = [part.positional_embedding, part.transformer.resblocks[0].mlp.c_fc.weight, part.ln_final.bias]
    for weight in trained:
        weight.requires_grad_(True)
    rows = {name: value.requires_grad_(True) for name, value in own_rows(tower).items()} if learned else None
    tower.on(model).encode(PROMPTS, rows)[:, 0].sum().backward()
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in trained)
    assert all(value.grad is not None and bool(value.grad.any()) for value in (rows or {}).values())
    others = [weight for weight in model.parameters() if not any(weight is one for one in trained)]
    assert all(weight.grad is None for weight in others)


def test_gradients_flow_into_the_token_embedding(tower: OpenClipTextTower, model: Any) -> None:
    table = text_part(model).token_embedding.weight.requires_grad_(True)
    tower.on(model).encode(PROMPTS)[:, 0].sum().backward()
    used = table.grad.abs().sum(dim=1) > 0
    assert bool(used[tower.token_ids("ibex")].all())
    assert int(used.sum()) < 30


@pytest.mark.parametrize("learned", [False, True])
def test_hooks_and_replaced_modules_take_effect(tower: OpenClipTextTower, model: Any, learned: bool) -> None:
    ours, rows = tower.on(model), own_rows(tower) if learned else None
    before = ours.encode(PROMPTS, rows)
    block = text_part(model).transformer.resblocks[1]
    handle = block.register_forward_hook(lambda module, args, output: output.tanh())
    hooked = ours.encode(PROMPTS, rows)
    handle.remove()
    assert torch.equal(ours.encode(PROMPTS, rows), before)
    block.mlp = nn.Sequential(block.mlp, nn.Tanh())
    replaced = ours.encode(PROMPTS, rows)
    assert not torch.allclose(hooked, before, atol=1e-3)
    assert not torch.allclose(replaced, before, atol=1e-4)


def test_learned_rows_replace_the_output_of_a_replaced_token_embedding(tower: OpenClipTextTower, model: Any) -> None:
    ours = tower.on(model)
    part = text_part(model)
    part.token_embedding = nn.Sequential(part.token_embedding, nn.Tanh())
    assert not torch.allclose(ours.encode(PROMPTS), tower.encode(PROMPTS), atol=1e-3)
    rows = {name: value.tanh() for name, value in own_rows(tower).items()}
    torch.testing.assert_close(ours.encode(PROMPTS, rows), ours.encode(PROMPTS), **CLOSE)
    torch.testing.assert_close(ours.token_embedding("ibex"), rows["ibex"])


def test_a_change_of_weights_changes_the_copy_alone(tower: OpenClipTextTower, model: Any) -> None:
    ours, before = tower.on(model), tower.encode(PROMPTS)
    ours.encode(PROMPTS)
    text_part(model).ln_final.bias += 1
    assert not torch.allclose(ours.encode(PROMPTS), before, atol=1e-3)
    tower.clear_cache()
    assert torch.equal(tower.encode(PROMPTS), before)


def test_many_prompts_are_encoded_in_batches() -> None:
    model, tower = frozen("unit-clip")
    sizes: list[int] = []
    ours = tower.on(model)
    handle = model.token_embedding.register_forward_hook(lambda module, args, output: sizes.append(len(output)))
    encoded = ours.encode(PROMPTS * 150)
    handle.remove()
    assert sizes == [256, 44]
    torch.testing.assert_close(encoded[-2:], tower.encode(PROMPTS), **CLOSE)
