"""Learned context: token embeddings around every name, shared by all names or one set per name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch

from harness.device import to_device
from harness.prompts import Piece, Prompt

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task, TextTower

NOISE = 0.02
"""Standard deviation of a random context (Zhou et al., IJCV 2022)."""

GROUP = 8
"""Names that are encoded together when each image has its own prompts."""

Position = Literal["end", "middle", "front"]
"""Position of the name: after the context, between its halves, or before it."""


class LearnedContext:
    """The prompt ``[context] name.``, ``[half] name [half].`` or ``name [context].``

    Attributes:
        rows: ``(r, width)`` the shared context, or ``(k r, width)`` the contexts of k names in order.
    """

    def __init__(
        self,
        task: Task,
        text: str,
        length: int | None = None,
        names: Sequence[str] = (),
        position: Position = "end",
        tower: TextTower | None = None,
    ) -> None:
        """Initialise from the tokens of a text, or from noise.

        Args:
            task: provides the text tower, the generator and the device.
            text: initial context.
            length: tokens of a random context; None starts from the text.
            names: names with their own context; empty: all names share one.
            position: position of the name.
            tower: encodes the prompts; None: the task's.
        """
        self._tower, contexts = tower or task.text, max(1, len(names))
        if length is None:
            self.rows = task.text.token_embedding(text).repeat(contexts, 1)
        else:
            noise = torch.randn(contexts * length, task.text.width, generator=task.generator)
            self.rows = NOISE * to_device(noise.to(task.text.token_embedding("a").dtype), task.device)
        self._each = len(self.rows) // contexts
        self._before = {"end": self._each, "middle": self._each // 2, "front": 0}[position]
        self._first = {name: i * self._each for i, name in enumerate(names)}

    def tokens(self, names: Sequence[str]) -> Any:
        """Tokenized prompts of k names, for ``encode``."""
        table: dict[str, tuple[int, int]] = {}
        prompts = [self._prompt(name, self._first.get(name, 0), table) for name in names]
        return self._tower.tokenize(prompts, table)

    def _prompt(self, name: str, first: int, table: dict[str, tuple[int, int]]) -> Prompt:
        """The prompt of a name; adds its context rows to the table."""
        before, after = f"{first} before", f"{first} after"
        table |= {before: (first, self._before), after: (first + self._before, self._each - self._before)}
        if self._before == self._each:
            return Prompt((Piece("", before), Piece(f" {name}.")))
        return Prompt((Piece("", before), Piece(f" {name}"), Piece("", after), Piece(".")))

    def encode(self, tokens: Any) -> Tensor:
        """Unit rows ``(k, d)`` of k prompts."""
        return self._tower.encode_tokens(tokens, self.rows)

    def encode_shifted(self, tokens: Any, shift: Tensor) -> Tensor:
        """Unit rows ``(n, k, d)``: the k prompts with the context of each of n images.

        Args:
            tokens: k prompts.
            shift: ``(n, width)`` added to every row of the context.
        """
        return self.encode_each(tokens, self.rows + shift[:, None])

    def encode_each(self, tokens: Any, contexts: Tensor) -> Tensor:
        """Unit rows ``(n, k, d)``: the k prompts with each of n contexts ``(n, r, width)``."""
        n, k = len(contexts), len(tokens.ids)
        image = torch.arange(n).repeat_interleave(len(tokens.row))
        slot = tokens.slot.repeat(n, 1)
        slot[:, 0] += image * k
        row = tokens.row.repeat(n) + image * len(self.rows)
        pairs = replace(tokens, ids=tokens.ids.repeat(n, 1), slot=slot, row=row)
        return self._tower.encode_tokens(pairs, contexts.flatten(0, 1)).unflatten(0, (n, k))

    def by_length(self, names: Sequence[str]) -> list[tuple[Tensor, Any]]:
        """The prompts grouped by length, as (positions, prompts), because a group is padded to its longest."""
        length = [len(self._tower.token_embedding(name)) for name in names]
        order = sorted(range(len(names)), key=lambda i: length[i])
        groups = [order[start : start + GROUP] for start in range(0, len(order), GROUP)]
        device = self.rows.device
        return [(to_device(torch.tensor(group), device), self.tokens([names[i] for i in group])) for group in groups]
