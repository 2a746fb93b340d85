"""Tip-Adapter-F: a cache of the support images whose keys are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper

from ._training import Batch, Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, TrainedMethod
from ._vocabulary import zero_shot_text
from .tip_adapter import TipAdapter

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task


@dataclass
class TipAdapterF(TipAdapter, TrainedMethod):
    """Tip-Adapter whose keys are trained by the cross-entropy of the support (Zhang et al., ECCV 2022).

    Keys start at the features of the support, and are not normalised again. Alpha and beta of the training are those
    that ``tip_adapter`` chooses on the few-shot validation draw, or in the preset ``paper`` 1.17 and 1, the authors'
    initial values for ImageNet; after the training both are chosen again. The last epoch counts: the authors choose
    the epoch by the accuracy on the test images. They draw a new crop at every step; here an epoch takes one of the
    cached views of each image.
    """

    paper = Paper(
        "Zhang et al.",
        "Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification",
        "ECCV",
        2022,
        "https://arxiv.org/abs/2207.09519",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {"search": "paper", "views": 10, "crop": 0.5, "batch": 256, "initial_alpha": 1.17, "initial_beta": 1.0}
    }

    initial_alpha: NonNegativeFloat | None = None
    """Weight of the cache during the training; None: chosen on the validation draw."""
    initial_beta: NonNegativeFloat | None = None
    """Sharpness of the affinity during the training; None: chosen on the validation draw."""
    batch: PositiveInt | None = None
    """Images of a step; None: all of the support."""
    epochs: NonNegativeInt = 20
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: NonNegativeFloat = 0.001
    weight_decay: NonNegativeFloat = 0.01
    eps: PositiveFloat = 1e-4
    views: PositiveInt = 1
    """Views of each support image; its key starts at the normalised mean of their unit rows."""
    crop: Fraction = 0.5

    def fit(self, task: Task) -> Self:
        """Store the support as the cache, train its keys, and choose alpha and beta."""
        self._store(task)
        chosen = self._choose(task)
        given = (self.initial_alpha, self.initial_beta)
        alpha, beta = (own if value is None else value for value, own in zip(given, chosen, strict=True))
        text = task.logit_scale * zero_shot_text(task, task.vocabulary)

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(batch.image @ text.T + alpha * self._cache(batch.image, beta), batch.label)

        self.train(task, [self.keys_], loss, self.batch)
        self.alpha_, self.beta_ = self._choose(task)
        return self

    def trainable(self) -> int:
        """Elements of the keys."""
        return self.keys_.numel()


@hookimpl
def harness_method() -> type[TipAdapterF]:
    """Return the method."""
    return TipAdapterF
