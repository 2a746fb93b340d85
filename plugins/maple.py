"""MaPLe: learned words whose images, by linear maps, are learned tokens of the image tower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper

from ._deep_prompts import Tokens
from ._layers import uniform_init
from ._prompted_towers import PromptedTowers
from ._training import PAPER, NonNegativeFloat, NonNegativeInt, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task


@dataclass
class Maple(PromptedTowers):
    """Learned words in the text tower, mapped to tokens of the image tower (Khattak et al., CVPR 2023).

    The first block's words start as "a photo"; those of further blocks are random and replace what came out of the
    block before. Each block has its own linear map from the words to the tokens of the image tower. The loss is the
    cross-entropy over the OOP names; all names are scored with the prompted towers.

    The preset ``paper`` is the authors' run on the classes of one data set: depth 9, 5 epochs, 4 images a step; across
    data sets they have depth 3, 2 epochs and a learning rate of 0.0026. 16 cached views replace new crops. The authors'
    linear maps start as copies of one; here each is drawn.
    """

    paper = Paper(
        "Khattak et al.",
        "MaPLe: Multi-modal Prompt Learning",
        "CVPR",
        2023,
        "https://arxiv.org/abs/2210.03117",
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {**PAPER, "lr": 0.0035, "epochs": 5, "batch": 4, "words": 2, "depth": 9}
    }

    epochs: NonNegativeInt = 30
    lr: NonNegativeFloat = 0.01
    batch: PositiveInt = 32

    def fit(self, task: Task) -> Self:
        """Learn the words and the maps from the support."""
        self.prepare(task)
        inside = self.insert_words(task, "maple")
        width, wide = self.rows_[0].shape[1], self.model_.visual.transformer.width
        maps = [
            (uniform_init(task, wide, width, inputs=width), uniform_init(task, wide, inputs=width)) for _ in self.rows_
        ]
        self.insert_image_tokens(inside, [_mapped(*own) for own in zip(self.rows_, maps, strict=True)])
        self.learn([*self.rows_, *(value for own in maps for value in own)])
        return self


def _mapped(words: Tensor, linear: tuple[Tensor, Tensor]) -> Tokens:
    return lambda: F.linear(words, *linear)


@hookimpl
def harness_method() -> type[Maple]:
    """Return the method."""
    return Maple
