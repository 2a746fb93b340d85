"""Few-shot name learning (FSNL): tune the token embeddings of the OOP names, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from harness.hookspecs import hookimpl
from harness.prompts import Prompt, caption_prompt
from harness.types.paper import LAION_BEYOND
from harness.types.task import Needs

from ._anchor import known_names
from ._contrastive import symmetric_contrastive
from ._name_tuning import Encode, NameTuning
from ._training import PAPER, Batch, Fraction, NonNegativeFloat, PositiveInt
from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task


@dataclass
class FSNL(NameTuning):
    """Few-shot name learning (Chen et al., CVPR 2025).

    Every OOP name is a small matrix of token embeddings, learned through the frozen text tower with a weighted sum of
    two symmetric contrastive losses: (a) images against the prompts of all names, (b) images against their captions
    after context swap: a caption keeps its name and takes the surrounding text from a caption of another class. (b)
    skips captions that are missing or do not contain their name.

    A name that zero-shot already recognises in the support is held to its prompt, as in CLAP (Silva-Rodriguez et al.,
    CVPR 2024): the penalty ``anchor / shots * mean_k a_k |t_k - t0_k|^2`` on text features t, with t0 before learning
    and a_k the mean zero-shot probability of name k for its own support images, above chance. Names that tell nothing
    are free.

    The preset ``clip-loss`` is the ablation in LAION-Beyond's code with CLIP's loss: every image against the unchanged
    captions, with its own as the only positive.
    """

    needs = Needs(support=True, captions=True)
    paper = LAION_BEYOND
    presets = {  # noqa: RUF012 - read only
        "paper": {**PAPER, "lr": None, "caption_weight": 0.5, "captions_per_class": None, "anchor": 0.0},
        "clip-loss": {**PAPER, "lr": None, "caption_weight": 1.0, "captions_per_class": None}
        | {"swap": "none", "positives": "image", "anchor": 0.0},
    }

    shots_per_batch: PositiveInt = 4
    """Batch size is classes * min(shots, this)."""
    caption_weight: Fraction = 0.5
    """Weight of loss (b); loss (a) has the rest. 0 trains without captions."""
    captions_per_class: PositiveInt | None = 1
    """Captions per class in a batch's loss (b), drawn anew for every batch; None: all, as in the paper."""
    swap: Literal["random", "similar", "none"] = "random"
    """Source of a caption's context: a random other class, the most similar class in the batch, or none (no swap)."""
    positives: Literal["class", "image"] = "class"
    """Positives of an image in loss (b): all captions of its class, or its own caption only."""

    anchor: NonNegativeFloat = 10.0
    """Weight that holds known names to their prompts, relative to the evidence of one image of a class."""

    def fit(self, task: Task) -> Self:
        """Learn the name embeddings from the support."""
        located = self._located(task)
        label, every = torch.tensor([y for y, _ in located]), torch.arange(len(task.names))
        prompt = zero_shot_text(task, task.vocabulary)
        held = self.anchor / max(task.shots, 1) * known_names(task.support, prompt, task.logit_scale) / len(every)

        def loss(batch: Batch, encode: Encode) -> Tensor:
            own = label[batch.index]
            captions, at = self._swapped(task, batch.index, located, encode)
            text = encode(*captions)
            names, texts = text[: len(every)], text[len(every) :]
            value = symmetric_contrastive(batch.image, names, own, every, task.logit_scale)
            if captions:
                right = own if self.positives == "class" else torch.arange(len(own))
                second = symmetric_contrastive(batch.image, texts, right, right[at], task.logit_scale)
                value = (1 - self.caption_weight) * value + self.caption_weight * second
            return value + held @ (names - prompt).square().sum(dim=1)

        self.learn(task, loss, len(task.names) * min(task.shots or 1, self.shots_per_batch))
        return self

    def _located(self, task: Task) -> list[tuple[int, Prompt | None]]:
        """Label and caption of every support image; a caption is a prompt around its class name, or None."""
        labels = task.support.label.tolist()
        captions = task.support.captions or [None] * len(labels)
        return [(y, caption_prompt(c, task.names[y]) if c else None) for c, y in zip(captions, labels, strict=True)]

    def _swapped(
        self, task: Task, chosen: Tensor, located: list[tuple[int, Prompt | None]], encode: Encode
    ) -> tuple[list[Prompt], Tensor]:
        """Captions of a batch after context swap, and their images; empty if fewer than two classes have one."""
        batch = [(at, *located[i]) for at, i in enumerate(chosen.tolist())]
        usable = [(at, y, caption) for at, y, caption in batch if caption is not None and self.caption_weight > 0]
        if self.captions_per_class is not None:
            by_class: dict[int, list[tuple[int, int, Prompt]]] = {}
            for one in usable:  # the batch is in random order, so the first ones are a random choice
                by_class.setdefault(one[1], []).append(one)
            usable = [one for group in by_class.values() for one in group[: self.captions_per_class]]
        if len({y for _, y, _ in usable}) < 2:
            return [], torch.tensor([])
        texts = []
        draw = torch.rand(len(usable), generator=task.generator).tolist()
        similarity = self._similarity(encode) if self.swap == "similar" else None
        for (_, y, own), share in zip(usable, draw, strict=True):
            others = [(z, other) for _, z, other in usable if z != y] if self.swap != "none" else [(y, own)]
            if similarity is not None:
                best = max(similarity[y][z] for z, _ in others)
                others = [one for one in others if similarity[y][one[0]] == best]
            context = others[int(share * len(others))][1]
            texts.append(context.with_name(task.names[y]))
        return texts, torch.tensor([at for at, _, _ in usable])

    @torch.no_grad()
    def _similarity(self, encode: Encode) -> list[list[float]]:
        """Cosine similarity ``(k, k)`` of the current name features."""
        names = encode()
        return (names @ names.T).tolist()


@hookimpl
def harness_method() -> type[FSNL]:
    """Return the method."""
    return FSNL
