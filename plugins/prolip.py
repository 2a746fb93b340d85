"""ProLIP: fine-tune the last projection of the image tower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._training import Batch, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, TrainedMethod
from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class ProLIP(TrainedMethod):
    """The image projection is trained and held to its pre-trained weight (Fahes et al., 2024).

    The loss is the cross-entropy of ``logit_scale * image @ text.T`` plus ``decay / shots`` times the sum of squares
    of the weight's change. ``image`` is the normalised ``preprojection @ weight + bias``; a bias, which a ResNet has,
    stays frozen. It starts exactly at zero-shot. Any name can be scored, by its zero-shot text.

    The preset ``paper`` is the paper's setting without validation images: learning rate 1e-5, and a weight of one over
    the shots. The authors have 300 views of each image, one for each epoch; here an epoch takes one of 256 at random.
    """

    needs = Needs(support=True, preprojection=True)
    paper = Paper(
        "Fahes et al.",
        "Fine-Tuning CLIP's Last Visual Projector: A Few-Shot Cornucopia",
        "arXiv",
        2024,
        "https://arxiv.org/abs/2410.05270",
    )
    presets = {"paper": {"lr": 1e-5, "decay": 1.0, "epochs": 300, "views": 256}}  # noqa: RUF012 - read only

    epochs: NonNegativeInt = 300
    lr: NonNegativeFloat = 3e-3
    eps: PositiveFloat = 1e-4
    decay: NonNegativeFloat = 0.1
    """Weight of the change of the projection, over the number of shots."""
    batch: PositiveInt | None = None
    """Images of a step; None: all of the support."""

    def fit(self, task: Task) -> Self:
        """Train the weight of the projection."""
        self.task_ = task
        frozen, self.bias_ = task.projection
        self.weight_ = frozen.clone()
        text, decay = zero_shot_text(task, task.vocabulary), self.decay / max(1, task.shots)

        def loss(batch: Batch) -> Tensor:
            scores = task.logit_scale * self._project(batch.image) @ text.T
            return F.cross_entropy(scores, batch.label) + decay * (self.weight_ - frozen).square().sum()

        support = task.support.with_features(task.support.preprojection)
        self.train(task, [self.weight_], loss, self.batch, support=support)
        self.moved_ = float((self.weight_ - frozen).norm() / frozen.norm())
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T`` with the trained projection."""
        image = self._project(images.preprojection[:, 0])
        return self.task_.logit_scale * image @ zero_shot_text(self.task_, vocabulary).T

    def outcome(self) -> dict[str, Any]:
        """How far the weight moved, relative to its norm."""
        return {"moved": self.moved_}

    def trainable(self) -> int:
        """Elements of the weight."""
        return self.weight_.numel()

    def _project(self, rows: Tensor) -> Tensor:
        projected = rows @ self.weight_
        return F.normalize(projected if self.bias_ is None else projected + self.bias_, dim=1)


@hookimpl
def harness_method() -> type[ProLIP]:
    """Return the method."""
    return ProLIP
