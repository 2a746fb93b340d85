"""Learned context: a few token embeddings in front of every name, shared by all names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from harness.device import send
from harness.prompts import Piece, Prompt

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task

KEY = "context"
"""Of the pieces that are learned; the names carry no key, so no name can be taken for it."""

GROUP = 8
"""Names whose prompts are encoded together where every image has prompts of its own."""


class LearnedContext:
    """The prompt ``[context] name.``

    Attributes:
        rows: ``(r, width)`` the context, which starts from the tokens of a text.
    """

    def __init__(self, task: Task, text: str) -> None:
        self.rows = task.text.token_embedding(text)
        self._text = text
        self._tower = task.text

    def tokens(self, names: Sequence[str]) -> Any:
        """The prompts of k names, for ``encode``."""
        prompts = [Prompt((Piece(self._text, KEY), Piece(f" {name}."))) for name in names]
        return self._tower.tokenize(prompts, {KEY: (0, len(self.rows))})

    def encode(self, tokens: Any) -> Tensor:
        """Unit rows ``(k, d)`` of k prompts."""
        return self._tower.encode_tokens(tokens, self.rows)

    def encode_shifted(self, tokens: Any, shift: Tensor) -> Tensor:
        """Unit rows ``(n, k, d)``: for each of n images the k prompts with the image's own context.

        Args:
            tokens: k prompts.
            shift: ``(n, width)``, added to every row of the context.
        """
        n, k = len(shift), len(tokens.ids)
        image = torch.arange(n).repeat_interleave(len(tokens.row))
        slot = tokens.slot.repeat(n, 1)
        slot[:, 0] += image * k
        row = tokens.row.repeat(n) + image * len(self.rows)
        learned = (self.rows + shift[:, None]).flatten(0, 1)
        pairs = replace(tokens, ids=tokens.ids.repeat(n, 1), slot=slot, row=row)
        return self._tower.encode_tokens(pairs, learned).unflatten(0, (n, k))

    def by_length(self, names: Sequence[str]) -> list[tuple[Tensor, Any]]:
        """The prompts in groups of similar length, as (positions, prompts): a group is as long as its longest."""
        length = [len(self._tower.token_embedding(name)) for name in names]
        order = sorted(range(len(names)), key=lambda i: length[i])
        groups = [order[start : start + GROUP] for start in range(0, len(order), GROUP)]
        device = self.rows.device
        return [(send(torch.tensor(group), device), self.tokens([names[i] for i in group])) for group in groups]
