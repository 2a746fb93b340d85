"""CLIP-Adapter: a small network that moves the image features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._layers import uniform_init
from ._training import PAPER, Batch, Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt, TrainedMethod
from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class ClipAdapter(TrainedMethod):
    """A bottleneck network on the image feature, mixed with the feature itself (Gao et al., IJCV 2024).

    ``x' = normalise(ratio * relu(up relu(down x)) + (1 - ratio) * x)``, D -> D/4 -> D without bias, against the
    zero-shot text features; the loss is the cross-entropy over the OOP names. Images of IP names are adapted too, so
    the method loses IP accuracy. The preset ``paper`` is LAION-Beyond's run, with one ratio for all domains; the
    method's own paper tunes the ratio for each data set.
    """

    needs = Needs(support=True)
    paper = Paper(
        "Gao et al.",
        "CLIP-Adapter: Better Vision-Language Models with Feature Adapters",
        "IJCV",
        2024,
        "https://arxiv.org/abs/2110.04544",
    )
    presets = {"paper": {**PAPER, "lr": 0.01, "batch": 32, "ratio": 0.2}}  # noqa: RUF012 - read only

    epochs: NonNegativeInt = 100
    lr: NonNegativeFloat = 0.01
    batch: PositiveInt | None = None
    """Images of a step; None: all of the support."""
    ratio: Fraction = 0.2
    """Weight of the adapter's output."""

    def fit(self, task: Task) -> Self:
        """Learn the two layers from the support."""
        self.task_ = task
        size = task.support.features.shape[2]
        hidden = max(1, size // 4)
        self.down_ = uniform_init(task, hidden, size, inputs=size)
        self.up_ = uniform_init(task, size, hidden, inputs=hidden)
        text = zero_shot_text(task, task.vocabulary)

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(task.logit_scale * self._adapted(batch.image) @ text.T, batch.label)

        self.train(task, [self.down_, self.up_], loss, self.batch)
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * adapted image @ text.T``."""
        return self.task_.logit_scale * self._adapted(images.features[:, 0]) @ zero_shot_text(self.task_, vocabulary).T

    def trainable(self) -> int:
        """Elements of both layers."""
        return self.down_.numel() + self.up_.numel()

    def _adapted(self, image: Tensor) -> Tensor:
        moved = torch.relu(torch.relu(image @ self.down_.T) @ self.up_.T)
        return F.normalize(self.ratio * moved + (1 - self.ratio) * image, dim=1)


@hookimpl
def harness_method() -> type[ClipAdapter]:
    """Return the method."""
    return ClipAdapter
