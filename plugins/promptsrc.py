"""PromptSRC: learned tokens in both towers that stay near the frozen model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper

from ._deep_prompts import as_they_are, random_tokens
from ._prompted_towers import PromptedTowers
from ._training import PAPER, Batch, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task

TEXT_WEIGHT, IMAGE_WEIGHT = 25.0, 10.0
"""Weights of the distances to the frozen features of names and of images."""


@dataclass
class PromptSrc(PromptedTowers):
    """Learned tokens in both towers that keep features near the frozen model's (Khattak et al., ICCV 2023).

    Unlike in MaPLe, the tokens of the two towers are independent. The loss is the cross-entropy, plus 25 times the
    mean absolute difference of the names' features from frozen ones, 10 times that of the images' features, and the
    divergence of the probabilities from frozen ones, ``KL(frozen || new) / (b k)``. Frozen features of a name are its
    mean over CLIP's 80 ImageNet templates (the authors have 60 of them) before normalization; those of an image are the
    cached ones of the same view. The learned tokens are the mean over the epochs, weighted by a Gaussian.

    The preset ``paper`` is the authors' few-shot run with the Gaussian of most of their data sets, of mean and
    deviation 30 in 50 epochs; for others they choose 45 and 5. 16 cached views replace new crops.
    """

    paper = Paper(
        "Khattak et al.",
        "Self-regulating Prompts: Foundational Model Adaptation without Forgetting",
        "ICCV",
        2023,
        "https://arxiv.org/abs/2307.06948",
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {**PAPER, "lr": 0.0025, "epochs": 50, "batch": 4, "words": 4, "image_tokens": 4, "depth": 9}
        | {"mean": 30.0, "deviation": 30.0}
    }

    epochs: NonNegativeInt = 30
    lr: NonNegativeFloat = 0.01
    batch: PositiveInt = 32
    words: PositiveInt = 4
    image_tokens: PositiveInt = 4
    """Learned tokens of a block of the image tower."""
    mean: PositiveFloat = 22.0
    """Epoch, counted from 1, that weighs most in the mean of the learned tokens."""
    deviation: PositiveFloat = 7.0
    """Standard deviation of the weights, in epochs."""

    def fit(self, task: Task) -> Self:
        """Learn the tokens from the support."""
        self.prepare(task)
        inside = self.insert_words(task, "promptsrc")
        wide = self.model_.visual.transformer.width
        image_rows = random_tokens(task, len(self.rows_), self.image_tokens, wide)
        self.insert_image_tokens(inside, as_they_are(image_rows))
        self.frozen_ = frozen_text(task)
        rows = [*self.rows_, *image_rows]
        weights, total = gaussian_weights(self.epochs, self.mean, self.deviation), [torch.zeros_like(r) for r in rows]

        def add(epoch: int) -> None:
            for mean, row in zip(total, rows, strict=True):
                mean += weights[epoch] * row.detach()

        self.learn(rows, self.loss, each_epoch=add)
        if self.epochs:
            for mean, row in zip(total, rows, strict=True):
                row.copy_(mean)
        return self

    def loss(self, image: Tensor, text: Tensor, batch: Batch) -> Tensor:
        """The loss of a batch."""
        scale = self.task_.logit_scale
        return regularised_loss(image, text, batch.image, self.frozen_, batch.label, scale)


def regularised_loss(
    image: Tensor, text: Tensor, frozen_image: Tensor, frozen_text: Tensor, label: Tensor, scale: float
) -> Tensor:
    """Cross-entropy and three distances to the frozen model (equations 3 to 6).

    Args:
        image: ``(b, d)`` unit rows.
        text: ``(k, d)`` unit rows.
        frozen_image: ``(b, d)`` unit rows of the frozen model.
        frozen_text: ``(k, d)`` unit rows of the frozen model.
        label: ``(b,)`` positions among the k names.
        scale: factor of the cosines.
    """
    new, frozen = (F.log_softmax(scale * x @ t.T, dim=1) for x, t in ((image, text), (frozen_image, frozen_text)))
    divergence = (frozen.exp() * (frozen - new)).mean()
    text_distance, image_distance = F.l1_loss(text, frozen_text), F.l1_loss(image, frozen_image)
    return F.nll_loss(new, label) + TEXT_WEIGHT * text_distance + IMAGE_WEIGHT * image_distance + divergence


def gaussian_weights(epochs: int, mean: float, deviation: float) -> list[float]:
    """Weights of epochs 1, 2, ... with sum 1, by the normal density."""
    density = [math.exp(-(((epoch + 1 - mean) / deviation) ** 2) / 2) for epoch in range(epochs)]
    return [value / sum(density) for value in density]


def frozen_text(task: Task) -> Tensor:
    """Unit rows ``(k, d)``: the mean of a name's features over the ImageNet templates, before normalization."""
    from harness.backbones.clip_templates import IMAGENET_TEMPLATES  # imports open_clip, which listing plugins does not

    total: Tensor | int = 0
    for template in IMAGENET_TEMPLATES:
        prompts = [template.fill(name, task.noun) for name in task.names]
        total = total + task.text.encode(prompts) * task.text.norms(prompts)[:, None]
    return F.normalize(total, dim=1)


@hookimpl
def harness_method() -> type[PromptSrc]:
    """Return the method."""
    return PromptSrc
