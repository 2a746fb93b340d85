"""Prompts as a tree: the features and gradients of open_clip's own forward, every distinct beginning computed once."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from harness.backbones.text import OpenClipTextTower
from harness.prompts import Piece, Prompt

from ..towers import CONFIGS, CUTS, make_model, make_tower

TABLE = {"auk": (0, 3), "oak": (3, 1), "context": (4, 2)}
"""Learned rows: two names and a context."""


def prompt(*pieces: str) -> Prompt:
    return Prompt(tuple(Piece(piece, piece if piece in TABLE else None) for piece in pieces))


BATCHES = {
    "names behind a template": [prompt("a photo of ", "auk", ", a bird."), prompt("a photo of ", "oak", ".")],
    "names behind a context": [
        prompt("context", " ibex."),
        prompt("context", " rose hip."),
        prompt("context", " rose."),
    ],
    "captions": [prompt("an ", "oak", " in a garden"), prompt("auk", " at sea"), prompt("an ", "oak", " in snow")],
    "the same prompt twice": [prompt("an ", "oak", "."), prompt("an ", "oak", ".")],
    "a name in two places": [prompt("auk", " and ", "auk"), prompt("auk", " and ", "oak")],
    "one without learned rows": [prompt("a photo of ", "auk"), prompt("a photo of a plain rose")],
    "an empty text": [prompt("auk"), prompt("")],
    "cut at the context length": [prompt("one two three four five six seven eight nine ten eleven ", "auk", " end")],
}


def rows(tower: OpenClipTextTower) -> Tensor:
    return torch.randn(6, tower.width, generator=torch.Generator().manual_seed(0)).requires_grad_(True)


def encoded(tower: OpenClipTextTower, prompts: list[Prompt], shared: bool) -> tuple[Tensor, Tensor]:
    """Features and the gradient of a weighted sum of them."""
    learned = rows(tower)
    tower.shares_prefixes = shared
    found = tower.encode_tokens(tower.tokenize(prompts, TABLE), learned)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((found * weight).sum(), learned)
    return found.detach(), gradient


@pytest.mark.parametrize("architecture", CUTS)
@pytest.mark.parametrize("batch", list(BATCHES))
def test_features_and_gradients_equal_the_full_forward(architecture: str, batch: str) -> None:
    tower = make_tower(architecture)
    assert tower.shares_prefixes
    (found, gradient), (expected, slope) = (encoded(tower, BATCHES[batch], shared) for shared in (True, False))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(gradient, slope, rtol=1e-4, atol=1e-5)
    assert bool(gradient.any())


@pytest.mark.parametrize("batch", list(BATCHES))
def test_every_distinct_prefix_is_one_node(batch: str) -> None:
    tower = make_tower("unit-clip")
    tokens = tower.tokenize(BATCHES[batch], TABLE)
    learned = {(b, p): f"row {r}" for (b, p), r in zip(tokens.slot.tolist(), tokens.row.tolist(), strict=True)}
    beginnings = set()
    for b, ids in enumerate(tokens.ids.tolist()):
        whole = [learned.get((b, p), str(token)) for p, token in enumerate(ids[: ids.index(tokens.eot) + 1])]
        beginnings |= {tuple(whole[:end]) for end in range(1, len(whole) + 1)}
    assert len(tokens.tree.token) == len(beginnings)
    assert tokens.tree is tokens.tree


@pytest.mark.parametrize("batch", list(BATCHES))
def test_paths_lead_through_the_tokens_of_every_prompt(batch: str) -> None:
    tokens = make_tower("unit-clip").tokenize(BATCHES[batch], TABLE)
    made = tokens.tree
    rows = {(b, p): r for (b, p), r in zip(tokens.slot.tolist(), tokens.row.tolist(), strict=True)}
    of_node = dict(zip(made.slot.tolist(), made.row.tolist(), strict=True))
    for b, ids in enumerate(tokens.ids.tolist()):
        end = ids.index(tokens.eot)
        path = made.path[b, : end + 1].tolist()
        assert path[-1] == made.end[b]
        assert made.position[path].tolist() == list(range(end + 1))
        assert [of_node.get(node) for node in path] == [rows.get((b, p)) for p in range(end + 1)]
        assert all(made.token[node] == ids[p] for p, node in enumerate(path) if (b, p) not in rows)
        assert made.mask[b].flatten().tolist() == [0.0] * (end + 1) + [-math.inf] * (len(ids) - end - 1)
    assert torch.equal(made.path.flatten()[made.seen], torch.arange(len(made.token)))


@pytest.mark.parametrize("architecture", [name for name in CONFIGS if name not in CUTS])
def test_a_tower_without_causal_mask_shares_no_prefixes(architecture: str) -> None:
    assert not make_tower(architecture).shares_prefixes


def test_a_tower_of_other_blocks_uses_its_own_forward() -> None:
    model = make_model("unit-clip")
    for block in model.transformer.resblocks:
        forward = block.forward
        block.forward = lambda x, attn_mask=None, forward=forward: 1.5 * forward(x, attn_mask=attn_mask)
    tower = make_tower("unit-clip", model)
    assert tower.cuts_context
    assert not tower.shares_prefixes
