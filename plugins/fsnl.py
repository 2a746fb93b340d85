"""Few-shot name learning (FSNL): tune the token embeddings of the OOP names, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from harness.hookspecs import Register, hookimpl
from harness.prompts import Prompt, locate
from harness.types.task import Needs

from ._contrastive import symmetric_contrastive
from ._names import NameTuning
from ._training import PAPER, Batch, Count, Share

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task


@dataclass
class FSNL(NameTuning):
    """Few-shot name learning (Chen et al., CVPR 2025).

    Every OOP name is a small matrix of token embeddings, learned through the frozen text tower with the mean of two
    symmetric contrastive losses: (a) the batch's images against the prompts of all names, (b) the batch's images
    against their captions after context swap: a caption keeps its own name and takes the text around it from a
    caption of another class. Captions that are missing or do not contain their name take no part in (b).
    """

    needs = Needs(support=True, captions=True)
    paper = "Chen et al., CVPR 2025"
    presets = {"paper": {**PAPER, "lr": None, "caption_weight": 0.5, "captions_per_class": None}}  # noqa: RUF012

    shots_per_batch: Count = 4
    """A batch holds classes * min(shots, this) images."""
    caption_weight: Share = 0.5
    """Weight of loss (b); loss (a) has the rest. 0 learns without captions."""
    captions_per_class: Count | None = 1
    """Captions of each class that a batch's loss (b) uses, drawn anew for every batch; None uses all."""
    swap: Literal["random", "similar", "none"] = "random"
    """Where a caption's context comes from: any other class, the most similar one in the batch, or its own."""

    def fit(self, task: Task) -> Self:
        """Learn the name embeddings from the support."""
        located = self._located(task)
        every = torch.arange(len(task.names), device=task.device)

        def loss(batch: Batch, names: Tensor) -> Tensor:
            first = symmetric_contrastive(batch.image, names, batch.label, every, task.logit_scale)
            swapped = self._swapped(task, batch.index, located, names)
            if swapped is None:
                return first
            texts, label = swapped
            captions = task.text.encode_tokens(task.text.tokenize(texts, self.names_.table), self.names_.rows)
            second = symmetric_contrastive(batch.image, captions, batch.label, label, task.logit_scale)
            return (1 - self.caption_weight) * first + self.caption_weight * second

        self.learn(task, loss, len(task.names) * min(task.shots or 1, self.shots_per_batch))
        return self

    def _located(self, task: Task) -> list[Prompt | None]:
        """The captions of the support as prompts around their own class name."""
        labels = task.support.label.tolist()
        captions = task.support.captions or [None] * len(labels)
        return [locate(c, task.names[y]) if c else None for c, y in zip(captions, labels, strict=True)]

    def _swapped(
        self, task: Task, chosen: Tensor, located: list[Prompt | None], names: Tensor
    ) -> tuple[list[Prompt], Tensor] | None:
        """Captions of a batch after context swap, and their labels; None if fewer than two classes have one."""
        labels = task.support.label.tolist()
        usable = [i for i in chosen.tolist() if located[i] is not None] if self.caption_weight > 0 else []
        if self.captions_per_class is not None:
            kept: dict[int, list[int]] = {}
            for i in usable:  # the batch is in random order, so the first ones are a random choice
                kept.setdefault(labels[i], []).append(i)
            usable = [i for group in kept.values() for i in group[: self.captions_per_class]]
        if len({labels[i] for i in usable}) < 2:
            return None
        texts = []
        draw = torch.rand(len(usable), generator=task.generator, device=task.device).tolist()
        nearest = (names.detach() @ names.detach().T).tolist() if self.swap == "similar" else None
        for i, at in zip(usable, draw, strict=True):
            others = [j for j in usable if labels[j] != labels[i]] if self.swap != "none" else [i]
            if nearest is not None:
                best = max(nearest[labels[i]][labels[j]] for j in others)
                others = [j for j in others if nearest[labels[i]][labels[j]] == best]
            context = located[others[int(at * len(others))]]
            if context is not None:
                texts.append(context.with_name(task.names[labels[i]]))
        return texts, torch.tensor([labels[i] for i in usable], device=task.device)


@hookimpl
def harness_register_methods(register: Register) -> None:
    """Offer the method."""
    register("fsnl", FSNL)
