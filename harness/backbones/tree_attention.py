"""Attention of the nodes of a prefix tree, in C++ where it applies and in torch otherwise.

Torch's attention takes padded batches: the features of every node are copied to every prompt that has it. The C++ one
(csrc/text/attention.cpp) follows the paths of the tree. It takes fp32 on the CPU, and heads whose size is a multiple of
16; a GPU, other precisions and compiled towers take torch's. Both are the same function, in other orders of sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.matching import native

if TYPE_CHECKING:
    from harness.backbones.tree import PrefixTree


def attend(block: Any, x: Tensor, tree: PrefixTree) -> Tensor:
    """Attention of every node over its prefix, ``(t, width)``, before the output projection.

    Args:
        block: open_clip's residual attention block.
        x: ``(t, width)`` normalized features of the nodes.
        tree: the prompts.
    """
    attention = block.attn
    rows = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
    if _in_cpp(rows, attention.head_dim):
        own: Tensor = _TreeAttention.apply(None, rows, tree.path, tree.seen, attention.num_heads)
        return own
    b, length = tree.path.shape
    q, k, v = take_rows(rows, tree.path).view(b, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    taken = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return take_rows(taken.transpose(1, 2).reshape(b * length, -1), tree.seen)


def attend_end_tokens(block: Any, x: Tensor, tree: PrefixTree) -> Tensor:
    """Attention of the end tokens alone, ``(b, width)``, before the output projection."""
    attention, width = block.attn, x.shape[1]
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    q = F.linear(take_rows(x, tree.end), weight[:width], bias[:width])
    rows = F.linear(x, weight[width:], bias[width:])
    if _in_cpp(rows, attention.head_dim):
        own: Tensor = _TreeAttention.apply(q, rows, tree.path, tree.last, attention.num_heads)
        return own
    b, length = tree.path.shape
    k, v = take_rows(rows, tree.path).view(b, length, 2, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    q = q.view(b, attention.num_heads, 1, -1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=tree.mask.to(q.dtype)).reshape(b, -1)


def take_rows(table: Tensor, index: Tensor) -> Tensor:
    """``table[index]``, whose gradient is summed in a deterministic order, also on a GPU."""
    return F.embedding(index, table)


def _in_cpp(rows: Tensor, head: int) -> bool:
    fits = rows.device.type == "cpu" and rows.dtype == torch.float32 and native.has_cpp()
    return fits and not torch.compiler.is_compiling() and head % native.module().lanes == 0


class _TreeAttention(torch.autograd.Function):
    """Queries ``q``, keys and values ``rows``; without ``q`` the rows begin with a query of every node."""

    @staticmethod
    def forward(ctx: Any, q: Tensor | None, rows: Tensor, path: Tensor, place: Tensor, heads: int) -> Tensor:
        own, k, v = _split(q, rows)
        weight = torch.empty(len(place), heads, native.module().padded(path.shape[1]))
        taken = torch.empty(own.shape)
        arrays = (tensor.detach().numpy() for tensor in (own, k, v, taken, weight))
        native.module().attend(path.numpy(), place.numpy(), heads, *arrays)
        ctx.save_for_backward(q, rows, path, place, weight)
        return taken

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, rows, path, place, weight = ctx.saved_tensors
        to_q, to_rows = None if q is None else torch.empty_like(q), torch.zeros_like(rows)
        arrays = (*_split(q, rows), weight, gradient.contiguous(), *_split(to_q, to_rows))
        heads = weight.shape[1]
        native.module().attend_backward(path.numpy(), place.numpy(), heads, *(array.numpy() for array in arrays))
        return to_q, to_rows, None, None, None


def _split(q: Tensor | None, rows: Tensor) -> tuple[Tensor, ...]:
    """Queries, keys and values."""
    return (q, *rows.chunk(2, dim=1)) if q is not None else rows.chunk(3, dim=1)
