"""Few-shot name learning (FSNL): tune the token embeddings of the OOP names, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from harness.hookspecs import Register, hookimpl
from harness.prompts import Prompt, locate
from harness.types.task import Needs

from ._contrastive import symmetric_contrastive
from ._names import Encode, NameTuning
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
    """Captions of each class that a batch's loss (b) uses, drawn anew for every batch; None uses all,
    as the paper does."""
    swap: Literal["random", "similar", "none"] = "random"
    """Where a caption's context comes from: any other class, the most similar one in the batch, or its own."""

    def fit(self, task: Task) -> Self:
        """Learn the name embeddings from the support."""
        located = self._located(task)
        label, every = torch.tensor([y for y, _ in located]), torch.arange(len(task.names))

        def loss(batch: Batch, encode: Encode) -> Tensor:
            own = label[batch.index]
            captions, of_caption = self._swapped(task, batch.index, located, encode)
            text = encode(*captions)
            first = symmetric_contrastive(batch.image, text[: len(every)], own, every, task.logit_scale)
            if not captions:
                return first
            second = symmetric_contrastive(batch.image, text[len(every) :], own, of_caption, task.logit_scale)
            return (1 - self.caption_weight) * first + self.caption_weight * second

        self.learn(task, loss, len(task.names) * min(task.shots or 1, self.shots_per_batch))
        return self

    def _located(self, task: Task) -> list[tuple[int, Prompt | None]]:
        """The labels of the support, and its captions as prompts around their own class name."""
        labels = task.support.label.tolist()
        captions = task.support.captions or [None] * len(labels)
        return [(y, locate(c, task.names[y]) if c else None) for c, y in zip(captions, labels, strict=True)]

    def _swapped(
        self, task: Task, chosen: Tensor, located: list[tuple[int, Prompt | None]], encode: Encode
    ) -> tuple[list[Prompt], Tensor]:
        """Captions of a batch after context swap, and their labels; none if fewer than two classes have one."""
        batch = [(y, caption) for y, caption in (located[i] for i in chosen.tolist()) if caption is not None]
        usable = batch if self.caption_weight > 0 else []
        if self.captions_per_class is not None:
            kept: dict[int, list[tuple[int, Prompt]]] = {}
            for y, caption in usable:  # the batch is in random order, so the first ones are a random choice
                kept.setdefault(y, []).append((y, caption))
            usable = [one for group in kept.values() for one in group[: self.captions_per_class]]
        if len({y for y, _ in usable}) < 2:
            return [], torch.tensor([])
        texts = []
        draw = torch.rand(len(usable), generator=task.generator).tolist()
        nearest = self._similarity(encode) if self.swap == "similar" else None
        for (y, own), at in zip(usable, draw, strict=True):
            others = [one for one in usable if one[0] != y] if self.swap != "none" else [(y, own)]
            if nearest is not None:
                best = max(nearest[y][other] for other, _ in others)
                others = [one for one in others if nearest[y][one[0]] == best]
            context = others[int(at * len(others))][1]
            texts.append(context.with_name(task.names[y]))
        return texts, torch.tensor([y for y, _ in usable])

    @torch.no_grad()
    def _similarity(self, encode: Encode) -> list[list[float]]:
        """Of the names as they are now."""
        names = encode()
        return (names @ names.T).tolist()


@hookimpl
def harness_register_methods(register: Register) -> None:
    """Offer the method."""
    register("fsnl", FSNL)
