"""Inversion in the manner of PALAVRA: one new word for each class, learned from the mean of its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.prompts import Piece, Prompt
from harness.types.paper import Paper
from harness.types.task import Needs, Support

from ._clustering import class_means
from ._name_tuning import Encode, NameTuning
from ._training import Batch, NonNegativeFloat, NonNegativeInt, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task


@dataclass
class Palavra(NameTuning):
    """Textual inversion: one learned word per class, set apart from its coarse noun (after Cohen et al., ECCV 2022).

    A class's word takes the place of its name in the protocol's prompt and starts at the embedding of the domain's
    noun; it is tuned so that the prompt is nearer to the mean support feature of the class than the sentence ``a photo
    of a {noun}.`` is: the loss is the cross-entropy of ``logit_scale * cos``. With ``negatives=all`` the prompts of the
    other classes count as further wrong answers, which the paper, where each concept is learned alone, does not have.

    Left out is the paper's encoder, which maps a set of images to a first word and was trained on captions; so is its
    code, whose licence forbids other than research use. Other names have their zero-shot scores.
    """

    needs = Needs(support=True)
    paper = Paper(
        "Cohen et al.",
        '"This is my unicorn, Fluffy": Personalizing frozen vision-language representations',
        "ECCV",
        2022,
        "https://arxiv.org/abs/2204.01694",
    )
    presets = {"paper": {"epochs": 30, "negatives": "noun"}}  # noqa: RUF012 - read only

    epochs: NonNegativeInt = 60
    lr: NonNegativeFloat | None = 0.01
    length: PositiveInt | None = 1
    """Learned words of a class; None: as many tokens as the noun has."""
    init: Literal["name", "noun", "random"] = "noun"
    """Initial values: the tokens of the noun or of the name, or noise."""
    negatives: Literal["all", "noun"] = "all"
    """Wrong answers: the sentence of the noun alone, or those of the other classes too."""

    def fit(self, task: Task) -> Self:
        """Learn the words from the class means of the support."""
        coarse = task.text.encode([Prompt((Piece(f"a photo of a {task.noun}."),))])
        label = task.support.label.unique()
        rows = task.support.features.mean(dim=1)
        mean = F.normalize(class_means(rows, task.support.label, len(task.names)), dim=1)

        def loss(batch: Batch, encode: Encode) -> Tensor:
            text = encode()
            own, noun = batch.image @ text.T, batch.image @ coarse.T
            if self.negatives == "noun":
                both = torch.cat([own.gather(1, batch.label[:, None]), noun], dim=1)
                return F.cross_entropy(task.logit_scale * both, torch.zeros_like(batch.label))
            return F.cross_entropy(task.logit_scale * torch.cat([own, noun], dim=1), batch.label)

        self.learn(task, loss, support=Support(mean[label, None], label))
        return self


@hookimpl
def harness_method() -> type[Palavra]:
    """Return the method."""
    return Palavra
