"""Learning to name classes: one learned word for each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.task import Needs

from ._names import Encode, NameTuning
from ._training import PAPER, Batch, Count

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task


@dataclass
class LearningToName(NameTuning):
    """A learned word embedding for each class, by plain cross-entropy (after Parisot et al., CVPR 2023).

    From the paper: both encoders stay frozen, a class is known by a new word whose embedding is learned from its images
    through the text tower, in a hand-written prompt, with a classification loss; known names keep their words. Our
    reading: one token per class by default, the protocol's prompt, cross-entropy of an image's own name among the OOP
    names, and the settings below. LAION-Beyond's tables have the method and its code does not: the preset ``paper`` is
    no published setting, but has the optimizer and batches of CoOp there. Unlike FSNL there is no text-to-image side of
    the loss and no captions.
    """

    needs = Needs(support=True)
    paper = "Parisot et al., CVPR 2023"
    presets = {"paper": {**PAPER, "lr": 0.002, "batch": 128, "length": 1, "init": "random"}}  # noqa: RUF012 - read only

    length: Count | None = 1
    """Learned tokens per class; None takes as many as the name has."""
    init: Literal["name", "random"] = "random"
    """What they start from: the first tokens of the name, or noise."""
    batch: Count | None = None
    """Images of a step; None takes all of the support."""

    def fit(self, task: Task) -> Self:
        """Learn the words from the support."""

        def loss(batch: Batch, encode: Encode) -> Tensor:
            return F.cross_entropy(task.logit_scale * batch.image @ encode().T, batch.label)

        self.learn(task, loss, self.batch)
        return self


@hookimpl
def harness_method() -> type[LearningToName]:
    """Return the method."""
    return LearningToName
