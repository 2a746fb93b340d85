"""Tokenized prompts, and truncation of prompts that are too long."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from harness.backbones import tree
from harness.device import to_device

Part = tuple[list[int], int]
"""Token ids, and the learned row of the first one; -1 for text, -2 for a name without learned rows."""


@dataclass(frozen=True)
class Tokens:
    """Tokenized prompts and the slots of learned rows; on the CPU, where the prefix tree is built.

    Attributes:
        ids: ``(b, l)`` int64; l is the length of the longest prompt with start and end token.
        slot: ``(s, 2)`` int64 pairs (prompt, position) of the tokens that are replaced.
        row: ``(s,)`` int64: the row of the learned table for each slot.
        eot: id of the end token, which the prefix tree needs; -1 without one.
        device: device of the encoder.
    """

    ids: Tensor
    slot: Tensor
    row: Tensor
    eot: int
    device: torch.device

    @cached_property
    def on_device(self) -> tuple[Tensor, Tensor, Tensor]:
        """``ids``, ``slot`` and ``row`` on the device."""
        return to_device(self.ids, self.device), to_device(self.slot, self.device), to_device(self.row, self.device)

    @cached_property
    def tree(self) -> tree.PrefixTree:
        """The prefix tree of the prompts, on the device."""
        return tree.build_tree(self.ids, self.slot, self.row, self.eot, self.device)


def truncate(parts: list[Part], room: int) -> list[Part]:
    """Remove tokens from the end, then from the beginning, until the parts fit; names (first != -1) are cut last."""
    excess = sum(len(ids) for ids, _ in parts) - room
    if excess <= 0:
        return parts
    names = [i for i, (_, first) in enumerate(parts) if first != -1]
    middle = names[0] if names else -1
    after = list(range(len(parts) - 1, middle, -1))
    before = [i for i in range(middle) if i not in names]
    shortened = [list(ids) for ids, _ in parts]
    for i in after:
        cut = min(excess, len(shortened[i])) if i not in names else 0
        shortened[i] = shortened[i][: len(shortened[i]) - cut]
        excess -= cut
    for i in before:
        cut = min(excess, len(shortened[i]))
        shortened[i] = shortened[i][cut:]
        excess -= cut
    for i in reversed(names):
        cut = min(excess, len(shortened[i]))
        shortened[i] = shortened[i][: len(shortened[i]) - cut]
        excess -= cut
    return [(ids, first) for ids, (_, first) in zip(shortened, parts, strict=True)]


def strip_padding(ids: list[int]) -> tuple[int, ...]:
    """Token ids without the zero padding of a batch; the end token before it is never zero."""
    end = next((i for i in range(len(ids), 0, -1) if ids[i - 1]), 0)
    return tuple(ids[:end])
