"""TaskRes: learn a residual for every text feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.prompts import HINTS
from harness.types.task import Needs

from ._training import PAPER, Batch, Count, Epochs, Rate, Trained, Weight
from ._vocabulary import fixed_positions, zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class TaskRes(Trained):
    """Zero-shot text features plus a learned residual of each class (Yu et al., CVPR 2023).

    ``t' = normalise(t + alpha * residual)``; residuals start at zero, and the loss is the cross-entropy among the OOP
    names. No step needs the text tower. A residual belongs to its class: the vocabulary is fixed.

    Adam's steps have one size whatever t is. The authors' code, and LAION-Beyond's, takes t as it leaves the tower (in
    the miniature ten to fifteen times as long as a unit row), so that the same steps turn it less. So does the preset
    ``paper``, which is LAION-Beyond's run.
    """

    needs = Needs(support=True)
    paper = "Yu et al., CVPR 2023"
    presets = {  # noqa: RUF012 - read only
        "paper": {**PAPER, "optimizer": "adam", "lr": 0.002, "batch": 256, "epochs": None, "alpha": None, "base": "raw"}
    }

    epochs: Epochs | None = 100
    """Passes over the support images; None is the paper's rule, 100 for up to 4 shots and 200 for more."""
    lr: Rate = 0.01
    batch: Count | None = None
    """Images of a step; None takes all of the support."""
    alpha: Weight | None = 0.5
    """Weight of the residual; None is the setting of the LAION-Beyond paper, 1 for animals and 0.5 for all else."""
    base: Literal["unit", "raw"] = "unit"
    """What the residual is added to: the unit row of the text, or the row as it leaves the tower."""

    def fit(self, task: Task) -> Self:
        """Learn the residuals from the support."""
        self.task_ = task
        text = zero_shot_text(task, task.vocabulary)
        residual = torch.zeros_like(text)
        # A preset is one set of numbers for all domains of a row, and a task tells of its domain only the hint.
        alpha = self.alpha if self.alpha is not None else 1.0 if task.hint == HINTS["Animals"] else 0.5
        if self.base == "raw":
            prompts = [task.template.fill(name, task.hint) for name in task.names]
            text = text * task.text.norms(prompts)[:, None]

        def learned() -> Tensor:
            return F.normalize(text + alpha * residual, dim=1)

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(task.logit_scale * batch.image @ learned().T, batch.label)

        epochs = self.epochs if self.epochs is not None else 100 if task.shots <= 4 else 200
        self.train(task, [residual], loss, self.batch, epochs=epochs)
        self.text_ = learned()
        return self

    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T`` with the learned text features.

        Raises:
            FixedVocabulary: a name has no residual.
        """
        return self.task_.logit_scale * image @ self.text_[fixed_positions(vocabulary, self.task_, "taskres")].T

    def trainable(self) -> int:
        """One residual per class."""
        return self.text_.numel()


@hookimpl
def harness_method() -> type[TaskRes]:
    """Return the method."""
    return TaskRes
