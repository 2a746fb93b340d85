"""Learned token embeddings of names: what every name-tuning method shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

from harness.device import to_device

from ._training import Batch, Count, Rate, Trained
from ._vocabulary import positions

if TYPE_CHECKING:
    from torch import Tensor

    from harness.prompts import Prompt
    from harness.types.task import Support, Task
    from harness.types.vocabulary import Vocabulary


Encode: TypeAlias = "Callable[..., Tensor]"
"""What a loss of `NameTuning.learn` gets."""


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
            shape, kind = (sum(counts), task.text.width), own[0].dtype
            noise = torch.randn(shape, generator=task.generator, dtype=kind)
            self.rows = to_device(noise, task.device) * task.text.embedding_std

    def overrides(self) -> dict[str, Tensor]:
        """What ``TextTower.encode`` takes: name -> its rows."""
        return {name: self.rows[start : start + count] for name, (start, count) in self.table.items()}


@dataclass
class NameTuning(Trained):
    """A method that learns the token embeddings of the OOP names, and nothing else.

    So the scores of all other names are those of zero-shot, by construction.

    Every seed is fitted alone. Three seeds of a domain in one batch gave the same numbers to the last bit where it was
    tried, and saved 5 to 25 % of the tower's time on one core (tests/bench/test_bench_fsnl.py): too little to give up
    that a cell is fitted, limited, kept and made again by itself.
    """

    lr: Rate | None = 0.01
    """Learning rate; None is the rule of the name learning paper, batch / 128 * 2e-4 (Chen et al., CVPR 2025)."""
    length: Count | None = None
    """Learned tokens per name; None takes as many as the name has."""
    init: Literal["name", "random"] = "name"
    """What they start from: the tokens of the name, or noise."""

    def learn(
        self,
        task: Task,
        loss: Callable[[Batch, Encode], Tensor],
        batch: int | None = None,
        support: Support | None = None,
    ) -> None:
        """Minimise a loss of a batch and of text features, which it asks for; None learns from the support.

        ``encode(*further)`` gives the features ``(k + further, d)`` of the names' prompts and, below, of further ones
        that hold names: in one pass through the tower, which on a CPU saves a tenth to three tenths of the time that
        two take.
        """
        self.task_ = task
        self.names_ = NameEmbeddings(task.names, task, self.length, self.init)
        rows, table = self.names_.rows, self.names_.table
        prompts = [task.template.fill(name, task.hint) for name in task.names]
        alone = task.text.tokenize(prompts, table)

        def encode(*further: Prompt) -> Tensor:
            return task.text.encode_tokens(task.text.tokenize([*prompts, *further], table) if further else alone, rows)

        self.train(task, [rows], lambda chosen: loss(chosen, encode), batch, support=support)
        with torch.no_grad():
            self.text_ = encode()

    def _peak(self, batch: int) -> float:
        return self.lr if self.lr is not None else batch / 128 * 2e-4

    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T`` with learned OOP names; other names are as in zero-shot."""
        task = self.task_
        at = positions(vocabulary, task)
        frozen = [name for name, position in zip(vocabulary.names, at, strict=True) if position is None]
        rest = iter(task.text.encode([task.template.fill(name, vocabulary.hint) for name in frozen]))
        text = torch.stack([next(rest) if position is None else self.text_[position] for position in at])
        return task.logit_scale * image @ text.T

    def trainable(self) -> int:
        """Rows times width."""
        return self.names_.rows.numel()
