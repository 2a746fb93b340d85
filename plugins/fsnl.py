"""Few-shot name learning (FSNL): tune the token embeddings of the OOP names, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from harness.hookspecs import hookimpl
from harness.prompts import Prompt, caption_prompt
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

    The preset ``clip-loss`` is the ablation of LAION-Beyond's code that learns by CLIP's own loss: every image against
    the captions as they are, of which its own alone is right.
    """

    needs = Needs(support=True, captions=True)
    paper = "Chen et al., CVPR 2025"
    presets = {  # noqa: RUF012 - read only
        "paper": {**PAPER, "lr": None, "caption_weight": 0.5, "captions_per_class": None},
        "clip-loss": {**PAPER, "lr": None, "caption_weight": 1.0, "captions_per_class": None}
        | {"swap": "none", "positives": "image"},
    }

    shots_per_batch: Count = 4
    """A batch holds classes * min(shots, this) images."""
    caption_weight: Share = 0.5
    """Weight of loss (b); loss (a) has the rest. 0 learns without captions."""
    captions_per_class: Count | None = 1
    """Captions of each class that a batch's loss (b) uses, drawn anew for every batch; None uses all,
    as the paper does."""
    swap: Literal["random", "similar", "none"] = "random"
    """Where a caption's context comes from: any other class, the most similar one in the batch, or its own."""
    positives: Literal["class", "image"] = "class"
    """Which captions are right for an image in loss (b): those of its class, or its own alone."""

    def fit(self, task: Task) -> Self:
        """Learn the name embeddings from the support."""
        located = self._located(task)
        label, every = torch.tensor([y for y, _ in located]), torch.arange(len(task.names))

        def loss(batch: Batch, encode: Encode) -> Tensor:
            own = label[batch.index]
            captions, at = self._swapped(task, batch.index, located, encode)
            text = encode(*captions)
            first = symmetric_contrastive(batch.image, text[: len(every)], own, every, task.logit_scale)
            if not captions:
                return first
            right = own if self.positives == "class" else torch.arange(len(own))
            second = symmetric_contrastive(batch.image, text[len(every) :], right, right[at], task.logit_scale)
            return (1 - self.caption_weight) * first + self.caption_weight * second

        self.learn(task, loss, len(task.names) * min(task.shots or 1, self.shots_per_batch))
        return self

    def _located(self, task: Task) -> list[tuple[int, Prompt | None]]:
        """The labels of the support, and its captions as prompts around their own class name."""
        labels = task.support.label.tolist()
        captions = task.support.captions or [None] * len(labels)
        return [(y, caption_prompt(c, task.names[y]) if c else None) for c, y in zip(captions, labels, strict=True)]

    def _swapped(
        self, task: Task, chosen: Tensor, located: list[tuple[int, Prompt | None]], encode: Encode
    ) -> tuple[list[Prompt], Tensor]:
        """Captions of a batch after context swap, and whose they are in it; none if fewer than two classes have one."""
        batch = [(at, *located[i]) for at, i in enumerate(chosen.tolist())]
        usable = [(at, y, caption) for at, y, caption in batch if caption is not None and self.caption_weight > 0]
        if self.captions_per_class is not None:
            kept: dict[int, list[tuple[int, int, Prompt]]] = {}
            for one in usable:  # the batch is in random order, so the first ones are a random choice
                kept.setdefault(one[1], []).append(one)
            usable = [one for group in kept.values() for one in group[: self.captions_per_class]]
        if len({y for _, y, _ in usable}) < 2:
            return [], torch.tensor([])
        texts = []
        draw = torch.rand(len(usable), generator=task.generator).tolist()
        nearest = self._similarity(encode) if self.swap == "similar" else None
        for (_, y, own), share in zip(usable, draw, strict=True):
            others = [(z, other) for _, z, other in usable if z != y] if self.swap != "none" else [(y, own)]
            if nearest is not None:
                best = max(nearest[y][z] for z, _ in others)
                others = [one for one in others if nearest[y][one[0]] == best]
            context = others[int(share * len(others))][1]
            texts.append(context.with_name(task.names[y]))
        return texts, torch.tensor([at for at, _, _ in usable])

    @torch.no_grad()
    def _similarity(self, encode: Encode) -> list[list[float]]:
        """Of the names as they are now."""
        names = encode()
        return (names @ names.T).tolist()


@hookimpl
def harness_method() -> type[FSNL]:
    """Return the method."""
    return FSNL
