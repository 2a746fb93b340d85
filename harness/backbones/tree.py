"""Prefix tree of prompts: shared prefixes are computed once, and padding never.

In a text tower with a causal mask the features of a token depend only on the tokens before it. So the prompts of a
batch form a tree whose nodes are the distinct prefixes, and each node is computed once: the template before the name
for all names, a learned context for all names after it. In the last block only the end tokens are computed. The result
is exact; only the order of sums differs from open_clip.

Weights and modules are open_clip's own, block by block. ``OpenClipTextTower`` compares the result with open_clip's at
construction, and uses open_clip's forward for a tower of another structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.backbones.tree_attention import attend, attend_end_tokens, take_rows
from harness.device import to_device


@dataclass(frozen=True)
class PrefixTree:
    """b prompts of at most l tokens as t nodes; a node is a token together with its prefix.

    Attributes:
        token: ``(t,)`` token id of each node.
        position: ``(t,)`` its position in the prompt.
        slot: ``(s,)`` nodes that take learned rows.
        row: ``(s,)`` which rows of the learned table they take.
        path: ``(b, l)`` the node at every position of every prompt; 0 after its end.
        seen: ``(t,)`` one occurrence (prompt * l + position) of each node.
        end: ``(b,)`` node of the end token.
        last: ``(b,)`` its occurrence (prompt * l + position).
        mask: ``(b, 1, 1, l)`` zero up to the end token, minus infinity after it.
    """

    token: Tensor
    position: Tensor
    slot: Tensor
    row: Tensor
    path: Tensor
    seen: Tensor
    end: Tensor
    last: Tensor
    mask: Tensor


def build_tree(ids: Tensor, slot: Tensor, row: Tensor, eot: int, device: torch.device) -> PrefixTree:
    """Build the prefix tree of tokenized prompts.

    Args:
        ids: ``(b, l)`` token ids.
        slot: ``(s, 2)`` pairs (prompt, position) that take learned rows.
        row: ``(s,)`` which rows they take.
        eot: id of the end token.
        device: device of the result; ids, slot and row are on the CPU.
    """
    key = ids.numpy().copy()
    b, length = key.shape
    end = (key == eot).argmax(axis=1)
    known = int(key.max(initial=0)) + 1  # learned rows count as further token ids
    key[tuple(slot.numpy().T)] = known + row.numpy()
    live = np.arange(length) <= end[:, None]
    key[~live] = 0
    order = np.lexsort(key.T[::-1])
    ordered = key[order]
    new = live[order]
    new[1:] &= np.logical_or.accumulate(ordered[1:] != ordered[:-1], axis=1)
    node = (np.cumsum(new.T) - 1).reshape(length, b).T  # numbered by position, then by prefix
    path = np.zeros((b, length), dtype=np.int64)
    path[order] = node * live[order]
    places = np.empty(new.sum(), dtype=np.int64)
    occurrence = np.flatnonzero(live)[::-1]
    places[path.reshape(-1)[occurrence]] = occurrence  # the last one that is assigned is the first prompt's
    token = key.reshape(-1)[places]
    learned = np.flatnonzero(token >= known)
    rows = token[learned] - known
    token[learned] = eot
    mask = np.where(live, 0.0, -np.inf).astype(np.float32)
    last = np.arange(b) * length + end
    found = (token, places % length, learned, rows, path, places, path.reshape(-1)[last], last, mask[:, None, None])
    return PrefixTree(*(to_device(torch.from_numpy(np.ascontiguousarray(array)), device) for array in found))


def encode(tower: Any, tree: PrefixTree, learned: Tensor) -> Tensor:
    """Unit rows ``(b, d)``; gradients flow into ``learned`` ``(R, width)``.

    Args:
        tower: open_clip's module with the token embedding and the transformer.
        tree: the prompts.
        learned: the table of learned rows.

    Raises:
        AttributeError: the tower does not consist of open_clip's residual attention blocks.
    """
    embedded = tower.token_embedding.weight.detach()[tree.token]
    values = learned[tree.row]
    x = embedded.to(values.dtype).index_put((tree.slot,), values) + tower.positional_embedding[tree.position]
    *blocks, last = tower.transformer.resblocks
    for block in blocks:
        x = _finish_block(block, x, attend(block, block.ln_1(x), tree))
    x = _finish_block(last, take_rows(x, tree.end), attend_end_tokens(last, last.ln_1(x), tree))
    x = tower.ln_final(x)
    projection = tower.text_projection
    if projection is not None:
        x = projection(x) if isinstance(projection, nn.Module) else x @ projection
    return F.normalize(x, dim=-1)


def _finish_block(block: Any, x: Tensor, taken: Tensor) -> Tensor:
    x = x + block.ls_1(block.attn.out_proj(taken))
    moved: Tensor = block.ls_2(block.mlp(block.ln_2(x)))
    return x + moved
