"""Learning to name classes: one learned word for each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._name_tuning import Encode, NameTuning
from ._training import PAPER, Batch, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task


@dataclass
class LearningToName(NameTuning):
    """A learned word embedding for each class, by plain cross-entropy (after Parisot et al., CVPR 2023).

    From the paper: both encoders are frozen; the embedding of a new word per class is learned from its images through
    the text tower, in a hand-written prompt, with a classification loss; known names keep their words. Our reading: one
    token per class by default, the protocol's prompt, cross-entropy over the OOP names, and the settings below.
    LAION-Beyond reports the method but does not release its code: the preset ``paper`` is not a published setting, it
    uses the optimizer and batches of CoOp there. Unlike FSNL, it has no text-to-image loss and no captions.
    """

    needs = Needs(support=True)
    paper = Paper(
        "Parisot et al.",
        "Learning to Name Classes for Vision and Language Models",
        "CVPR",
        2023,
        "https://arxiv.org/abs/2304.01830",
    )
    presets = {"paper": {**PAPER, "lr": 0.002, "batch": 128, "length": 1, "init": "random"}}  # noqa: RUF012 - read only

    length: PositiveInt | None = 1
    """Learned tokens per class; None: as many as the name has."""
    init: Literal["name", "random"] = "random"
    """Initial values: the first tokens of the name, or noise."""
    batch: PositiveInt | None = None
    """Images of a step; None: all of the support."""

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
