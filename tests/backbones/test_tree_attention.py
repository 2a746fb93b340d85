"""Attention in C++ against torch's, on the prefix trees of random prompts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.backbones import tree_attention
from harness.backbones.tree import PrefixTree, build_tree
from harness.matching import native

from ..makers import few

pytestmark = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")

EOT = 9
Attend = tree_attention.attend, tree_attention.attend_end_tokens

prompts = st.lists(st.lists(st.integers(1, 3), max_size=20), min_size=1, max_size=6)
"""Few different tokens, so that prompts share prefixes; more than sixteen, so that weights fill two vectors."""


def tree_of(ids: list[list[int]]) -> PrefixTree:
    length = max(map(len, ids)) + 1
    padded = torch.tensor([[*row, EOT, *[0] * (length - len(row) - 1)] for row in ids])
    return build_tree(padded, torch.empty(0, 2).long(), torch.empty(0).long(), EOT, torch.device("cpu"))


def block(heads: int, size: int, seed: int) -> Any:
    torch.manual_seed(seed)
    return SimpleNamespace(attn=nn.MultiheadAttention(heads * size, heads).requires_grad_(False))


def found(attend: Any, block: Any, x: Tensor, tree: PrefixTree) -> tuple[Tensor, Tensor]:
    """Attention, and the gradient of a weighted sum of it."""
    x = x.clone().requires_grad_(True)
    taken = attend(block, x, tree)
    weight = torch.randn(taken.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((taken * weight.to(taken.dtype)).sum(), x)
    return taken.detach(), gradient


def features(tree: PrefixTree, width: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(len(tree.token), width, generator=torch.Generator().manual_seed(0))


@few
@given(prompts, st.sampled_from([(1, 16), (4, 16), (2, 64)]), st.sampled_from([0.1, 1.0, 3.0]))
@pytest.mark.parametrize("attend", Attend)
def test_values_and_gradients_are_those_of_torch_in_float64(
    attend: Any, ids: list[list[int]], shape: tuple[int, int], scale: float
) -> None:
    tree, made = tree_of(ids), block(*shape, seed=len(ids))
    x = features(tree, shape[0] * shape[1], scale)
    own = found(attend, made, x, tree)
    made.attn.double()
    expected = found(attend, made, x.double(), tree)
    for ours, theirs in zip(own, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=2e-5 * float(theirs.abs().max()) + 1e-7)


@pytest.mark.parametrize("attend", Attend)
def test_cpp_is_used_for_fp32_and_for_no_other_type_or_size(attend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    module = native.module()
    spy = SimpleNamespace(lanes=module.lanes, padded=module.padded)
    spy.attend = lambda *given: calls.append(1) or module.attend(*given)
    monkeypatch.setattr(native, "module", lambda: spy)
    tree = tree_of([[1, 2], [1, 3]])
    attend(block(2, 16, 0), features(tree, 32), tree)
    assert calls == [1]
    attend(block(2, 8, 0), features(tree, 16), tree)
    double = block(2, 16, 0)
    double.attn.double()
    attend(double, features(tree, 32).double(), tree)
    assert calls == [1]


@pytest.mark.parametrize("attend", Attend)
def test_a_feature_that_is_not_a_number_is_not_hidden(attend: Any) -> None:
    tree = tree_of([[1, 2], [3]])
    x = features(tree, 32)
    x[int(tree.path[0, 1])] = float("nan")
    taken = attend(block(2, 16, 0), x, tree)
    assert bool(taken[0 if attend is Attend[1] else int(tree.end[0])].isnan().all())
    assert not bool(taken[1 if attend is Attend[1] else int(tree.end[1])].isnan().any())


@pytest.mark.parametrize("attend", Attend)
def test_narrower_registers_give_the_same_attention(attend: Any) -> None:
    tree, made = tree_of([[1, 2, 3, 1], [1, 2], [2, 2, 2]]), block(2, 64, 0)
    wide = found(attend, made, features(tree, 128), tree)
    native.registers(16)
    try:
        narrow = found(attend, made, features(tree, 128), tree)
    finally:
        native.registers()
    for one, other in zip(wide, narrow, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
