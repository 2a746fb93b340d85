"""Tokenised prompts, and how one that is too long is cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from harness.backbones import tree
from harness.device import to_device


@dataclass(frozen=True)
class Tokens:
    """Tokenised prompts, and where learned rows go: on the CPU, where the tree is made.

    Attributes:
        ids: ``(b, l)`` int64, l = the longest prompt, start and end token included.
        slot: ``(s, 2)`` int64 pairs (prompt, position): token s of the batch is replaced.
        row: ``(s,)`` int64: by this row of the learned table.
        eot: id of the end token.
        device: where they are encoded.
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
        """The prompts as a tree of their distinct beginnings, on the device."""
        return tree.build_tree(self.ids, self.slot, self.row, self.eot, self.device)


def truncate(parts: list[tuple[list[int], int]], room: int) -> list[tuple[list[int], int]]:
    """Take tokens off the end, then off the beginning, until the parts fit; the name (first != -1) goes last."""
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
    """Token ids without the zeros that fill a batch's shorter rows; they follow an end token, which is none."""
    end = next((i for i in range(len(ids), 0, -1) if ids[i - 1]), 0)
    return tuple(ids[:end])
