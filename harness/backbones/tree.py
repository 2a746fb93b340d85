"""Prompts as a tree: tokens that several prompts begin with are computed once, and padding never.

In a text tower with a causal mask a token's features depend on the tokens before it and on nothing else. So all
prompts of a batch make one tree, whose nodes are the distinct beginnings, and each node is computed once: the template
before the name for all names, a learned context for all names behind it. Of the last block only the end tokens are
computed. Nothing is approximated; sums are taken in another order than open_clip takes them.

The weights and modules are open_clip's own, block by block. ``OpenClipTextTower`` compares the result with open_clip's
when it is made, and goes through open_clip's forward if a tower is built in another way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.device import to_device


@dataclass(frozen=True)
class PrefixTree:
    """b prompts of at most l tokens as t nodes; a node is a token behind all that stands before it.

    Attributes:
        token: ``(t,)`` id of each node.
        position: ``(t,)`` its place in the prompt.
        slot: ``(s,)`` nodes that take learned rows.
        row: ``(s,)`` which rows of the learned table they take.
        path: ``(b, l)`` the node of every place of every prompt; 0 behind its end.
        seen: ``(t,)`` one place (prompt * l + position) where the node stands.
        end: ``(b,)`` node of the end token.
        mask: ``(b, 1, 1, l)`` zero up to the end token, minus infinity behind it.
    """

    token: Tensor
    position: Tensor
    slot: Tensor
    row: Tensor
    path: Tensor
    seen: Tensor
    end: Tensor
    mask: Tensor


def build_tree(ids: Tensor, slot: Tensor, row: Tensor, eot: int, device: torch.device) -> PrefixTree:
    """The tree of tokenised prompts.

    Args:
        ids: ``(b, l)`` token ids.
        slot: ``(s, 2)`` pairs (prompt, position) that take learned rows.
        row: ``(s,)`` which rows they take.
        eot: id of the end token.
        device: where the tree is wanted; ids, slot and row are on the CPU.
    """
    key = ids.numpy().copy()
    end = (key == eot).argmax(axis=1)
    known = int(key.max(initial=0)) + 1  # learned rows are tokens beyond the known ones
    key[tuple(slot.numpy().T)] = known + row.numpy()
    b, length = key.shape
    path = np.zeros((b, length), dtype=np.int64)
    parent, count, seen = np.zeros(b, dtype=np.int64), 0, []
    width = int(key.max(initial=0)) + 1
    for position in range(length):
        live = np.flatnonzero(position <= end)
        _, first, node = np.unique(parent[live] * width + key[live, position], return_index=True, return_inverse=True)
        path[live, position] = count + node
        seen.append(live[first] * length + position)
        parent, count = path[:, position], count + len(first)
    places = np.concatenate(seen)
    token = key.reshape(-1)[places]
    learned = np.flatnonzero(token >= known)
    rows = token[learned] - known
    token[learned] = eot
    mask = np.where(np.arange(length) <= end[:, None], 0.0, -np.inf).astype(np.float32)
    found = (token, places % length, learned, rows, path, places, path[np.arange(b), end], mask[:, None, None])
    return PrefixTree(*(to_device(torch.from_numpy(np.ascontiguousarray(array)), device) for array in found))


def encode(tower: Any, tree: PrefixTree, learned: Tensor) -> Tensor:
    """Unit rows ``(b, d)``; gradients flow into ``learned`` ``(R, width)``.

    Args:
        tower: open_clip's module that holds the token embedding and the transformer.
        tree: the prompts.
        learned: the table that slots take rows of.

    Raises:
        AttributeError: the tower is not built of open_clip's residual attention blocks.
    """
    embedded = tower.token_embedding.weight.detach()[tree.token]
    values = learned[tree.row]
    x = embedded.to(values.dtype).index_put((tree.slot,), values) + tower.positional_embedding[tree.position]
    *blocks, last = tower.transformer.resblocks
    for block in blocks:
        x = _finish_block(block, x, _attend(block, block.ln_1(x), tree))
    x = _finish_block(last, x[tree.end], _attend_end_tokens(last, last.ln_1(x), tree))
    x = tower.ln_final(x)
    projection = tower.text_projection
    if projection is not None:
        x = projection(x) if isinstance(projection, nn.Module) else x @ projection
    return F.normalize(x, dim=-1)


def _attend(block: Any, x: Tensor, tree: PrefixTree) -> Tensor:
    """What every node ``(t, width)`` takes from the nodes before it."""
    heads = F.linear(x, block.attn.in_proj_weight, block.attn.in_proj_bias)
    b, length = tree.path.shape
    q, k, v = _take_rows(heads, tree.path).view(b, length, 3, block.attn.num_heads, -1).permute(2, 0, 3, 1, 4)
    taken = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return _take_rows(taken.transpose(1, 2).reshape(b * length, -1), tree.seen)


def _attend_end_tokens(block: Any, x: Tensor, tree: PrefixTree) -> Tensor:
    """The same of the end tokens alone ``(b, width)``."""
    heads = F.linear(x, block.attn.in_proj_weight, block.attn.in_proj_bias)
    b, length = tree.path.shape
    width = x.shape[1]
    q = heads[tree.end, :width].view(b, block.attn.num_heads, 1, -1)
    k, v = _take_rows(heads[:, width:], tree.path).view(b, length, 2, block.attn.num_heads, -1).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=tree.mask.to(q.dtype)).reshape(b, -1)


def _finish_block(block: Any, x: Tensor, taken: Tensor) -> Tensor:
    x = x + block.ls_1(block.attn.out_proj(taken))
    moved: Tensor = block.ls_2(block.mlp(block.ln_2(x)))
    return x + moved


def _take_rows(table: Tensor, index: Tensor) -> Tensor:
    # Of the ways to take rows the one whose gradient is summed in the same order on every run, on a GPU too.
    return F.embedding(index, table)
