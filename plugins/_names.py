"""Learned token embeddings of names: what every name-tuning method shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from harness.types.task import Task


class NameEmbeddings:
    """One matrix per name, kept as one table.

    Attributes:
        rows: ``(R, width)`` fp32, the rows of all names one after the other; the only thing that is trained.
        table: name -> (first row, number of rows).
    """

    def __init__(
        self, names: Sequence[str], task: Task, length: int | None = None, init: Literal["name", "random"] = "name"
    ) -> None:
        """Start from the names' own token embeddings.

        Args:
            names: the names to learn.
            task: gives the text tower, the generator and the device.
            length: rows per name; None gives every name as many as it has tokens. With a fixed length a name's
                tokens are repeated or cut to fit.
            init: ``name`` starts from the tokens of the name, ``random`` from normal noise of the token table's spread.
        """
        own = [task.text.token_embedding(name) for name in names]
        counts = [length or max(len(rows), 1) for rows in own]
        starts = [sum(counts[:i]) for i in range(len(counts))]
        self.table = {name: (start, count) for name, start, count in zip(names, starts, counts, strict=True)}
        if init == "name" and all(len(rows) for rows in own):
            parts = [rows[torch.arange(count) % len(rows)] for rows, count in zip(own, counts, strict=True)]
            self.rows = torch.cat(parts)
        else:
            noise = torch.randn(sum(counts), task.text.width, generator=task.generator, device=task.device)
            self.rows = noise * task.text.embedding_std

    def overrides(self) -> dict[str, Tensor]:
        """What ``TextTower.encode`` takes: name -> its rows."""
        return {name: self.rows[start : start + count] for name, (start, count) in self.table.items()}
