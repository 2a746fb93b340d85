"""TaskRes: learn a residual for every text feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.prompts import NOUNS
from harness.types.paper import Paper
from harness.types.task import Needs

from ._training import PAPER, Batch, NonNegativeFloat, NonNegativeInt, PositiveInt, TrainedMethod
from ._vocabulary import raw_zero_shot_text, require_fitted_positions, zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class TaskRes(TrainedMethod):
    """Zero-shot text features plus a learned residual of each class (Yu et al., CVPR 2023).

    ``t' = normalise(t + alpha * residual)``; residuals start at zero, and the loss is the cross-entropy over the OOP
    names. Training does not run the text tower. Residuals belong to classes, so the vocabulary is fixed.

    Adam's step size does not depend on the length of t. The authors' code and LAION-Beyond's use t before
    normalisation (10 to 15 times longer in the miniature), so the same steps rotate it less; the preset ``paper``,
    LAION-Beyond's run, does the same.
    """

    needs = Needs(support=True)
    paper = Paper(
        "Yu et al.",
        "Task Residual for Tuning Vision-Language Models",
        "CVPR",
        2023,
        "https://arxiv.org/abs/2211.10277",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {**PAPER, "optimizer": "adam", "lr": 0.002, "batch": 256, "epochs": None, "alpha": None, "base": "raw"}
    }

    epochs: NonNegativeInt | None = 100
    """Passes over the support images; None: the paper's rule, 100 for up to 4 shots and 200 for more."""
    lr: NonNegativeFloat = 0.01
    batch: PositiveInt | None = None
    """Images of a step; None: all of the support."""
    alpha: NonNegativeFloat | None = 0.5
    """Weight of the residual; None: the LAION-Beyond paper's setting, 1 for animals and 0.5 for other domains."""
    base: Literal["unit", "raw"] = "unit"
    """Text features that the residual is added to: normalised, or as the tower returns them."""

    def fit(self, task: Task) -> Self:
        """Learn the residuals from the support."""
        self.task_ = task
        text = zero_shot_text(task, task.vocabulary)
        residual = torch.zeros_like(text)
        # A preset has one value for all domains, and a task identifies its domain only by the noun.
        alpha = self.alpha if self.alpha is not None else 1.0 if task.noun == NOUNS["Animals"] else 0.5
        if self.base == "raw":
            text = raw_zero_shot_text(task, task.vocabulary)

        def learned() -> Tensor:
            return F.normalize(text + alpha * residual, dim=1)

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(task.logit_scale * batch.image @ learned().T, batch.label)

        epochs = self.epochs if self.epochs is not None else 100 if task.shots <= 4 else 200
        self.train(task, [residual], loss, self.batch, epochs=epochs)
        self.text_ = learned()
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T`` with the learned text features.

        Raises:
            FixedVocabulary: a name has no residual.
        """
        at = require_fitted_positions(vocabulary, self.task_, "taskres")
        return self.task_.logit_scale * images.features[:, 0] @ self.text_[at].T

    def trainable(self) -> int:
        """Elements of the residuals."""
        return self.text_.numel()


@hookimpl
def harness_method() -> type[TaskRes]:
    """Return the method."""
    return TaskRes
