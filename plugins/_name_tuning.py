"""Learned token embeddings of names, shared by the name-tuning methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

from harness.device import to_device

from ._training import Batch, NonNegativeFloat, PositiveInt, TrainedMethod
from ._vocabulary import fitted_positions

if TYPE_CHECKING:
    from torch import Tensor

    from harness.prompts import Prompt
    from harness.types.images import Images
    from harness.types.task import Support, Task
    from harness.types.vocabulary import Vocabulary


Encode: TypeAlias = "Callable[..., Tensor]"
"""Encoder that a loss of `NameTuning.learn` receives."""

Init: TypeAlias = Literal["name", "noun", "random"]
"""Where learned tokens start."""


class NameEmbeddings:
    """Token embeddings of names, one matrix per name, stored in one tensor.

    Attributes:
        rows: ``(R, width)`` fp32, the rows of all names in order; the only trained parameter.
        table: name -> (first row, number of rows).
    """

    def __init__(self, names: Sequence[str], task: Task, length: int | None = None, init: Init = "name") -> None:
        """Initialise the embeddings.

        Args:
            names: the names to learn.
            task: provides the text tower, the generator and the device.
            length: rows per name; None: as many as the name has tokens. With a fixed length tokens are repeated or cut.
            init: ``name`` and ``noun`` start from the tokens of the name or of the domain's noun, ``random`` from noise
                with the token table's deviation.
        """
        own = [task.text.token_embedding(task.noun if init == "noun" else name) for name in names]
        counts = [length or max(len(rows), 1) for rows in own]
        starts = [sum(counts[:i]) for i in range(len(counts))]
        self.table = {name: (start, count) for name, start, count in zip(names, starts, counts, strict=True)}
        if init != "random" and all(len(rows) for rows in own):
            parts = [rows[torch.arange(count) % len(rows)] for rows, count in zip(own, counts, strict=True)]
            self.rows = torch.cat(parts)
        else:
            shape, kind = (sum(counts), task.text.width), own[0].dtype
            noise = torch.randn(shape, generator=task.generator, dtype=kind)
            self.rows = to_device(noise, task.device) * task.text.embedding_std

    def overrides(self) -> dict[str, Tensor]:
        """Name -> its rows, as ``TextTower.encode`` takes them."""
        return {name: self.rows[start : start + count] for name, (start, count) in self.table.items()}


@dataclass
class NameTuning(TrainedMethod):
    """Base of the methods that learn the token embeddings of the OOP names, and nothing else.

    All other names have their zero-shot scores, by construction.

    Every seed is fitted on its own. Three seeds of a domain in one batch gave bit-identical results and saved 5 to 25 %
    of the tower's time on one core (tests/bench/test_bench_fsnl.py): not enough to give up independent cells.
    """

    lr: NonNegativeFloat | None = 0.01
    """Learning rate; None is the rule of the name learning paper, batch / 128 * 2e-4 (Chen et al., CVPR 2025)."""
    length: PositiveInt | None = None
    """Learned tokens per name; None: as many as the name has."""
    init: Init = "name"
    """Initial values: the tokens of the name or of the domain's noun, or noise."""

    def learn(
        self,
        task: Task,
        loss: Callable[[Batch, Encode], Tensor],
        batch: int | None = None,
        support: Support | None = None,
    ) -> None:
        """Minimise ``loss(batch, encode)`` over the name embeddings.

        ``encode(*further)`` returns text features ``(k + further, d)``: the prompts of the k names, then further
        prompts that contain names. One pass through the tower takes 10 to 30 % less time on a CPU than two.

        Args:
            task: the task of the fit.
            loss: the loss of a batch.
            batch: images of a batch; None: all.
            support: images to learn from; None: the task's support.
        """
        self.task_ = task
        self.names_ = NameEmbeddings(task.names, task, self.length, self.init)
        rows, table = self.names_.rows, self.names_.table
        prompts = [task.template.fill(name, task.noun) for name in task.names]
        alone = task.text.tokenize(prompts, table)

        def encode(*further: Prompt) -> Tensor:
            return task.text.encode_tokens(task.text.tokenize([*prompts, *further], table) if further else alone, rows)

        self.train(task, [rows], lambda chosen: loss(chosen, encode), batch, support=support)
        with torch.no_grad():
            self.text_ = encode()

    def _peak(self, batch: int) -> float:
        return self.lr if self.lr is not None else batch / 128 * 2e-4

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T`` with learned OOP names; other names as in zero-shot."""
        task = self.task_
        at = fitted_positions(vocabulary, task)
        frozen = [name for name, position in zip(vocabulary.names, at, strict=True) if position is None]
        rest = iter(task.text.encode([task.template.fill(name, vocabulary.noun) for name in frozen]))
        text = torch.stack([next(rest) if position is None else self.text_[position] for position in at])
        return task.logit_scale * images.features[:, 0] @ text.T

    def trainable(self) -> int:
        """Elements of the name embeddings."""
        return self.names_.rows.numel()
