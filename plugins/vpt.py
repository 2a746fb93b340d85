"""Visual prompt tuning (VPT) of CLIP: learned tokens among the patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.hookspecs import hookimpl
from harness.types.paper import Paper

from ._deep_prompts import as_they_are, prompt_image_tower, random_tokens
from ._towers import TowerMethod, blocks
from ._training import PAPER, NonNegativeFloat, NonNegativeInt, PositiveInt

if TYPE_CHECKING:
    from typing_extensions import Self

    from harness.types.task import Task


@dataclass
class Vpt(TowerMethod):
    """Learned tokens among the patches of a vision transformer, against the zero-shot text (Jia et al., ECCV 2022).

    As MaPLe's authors tune CLIP with them (Khattak et al., CVPR 2023): the tokens follow the patches before the first
    norm, every further block up to the depth gets fresh ones in their place, and the loss is the cross-entropy over the
    OOP names. Images of IP names are encoded with the tokens too. VPT's own paper learns a linear classifier instead.

    The preset ``paper`` has the values of MaPLe's authors: 8 tokens in all blocks (``-p vpt.depth=1`` is the shallow
    variant), 5 epochs, 4 images a step. 16 cached views replace new crops.
    """

    towers = "vision"
    paper = Paper("Jia et al.", "Visual Prompt Tuning", "ECCV", 2022, "https://arxiv.org/abs/2203.12119")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {**PAPER, "lr": 0.0025, "epochs": 5, "batch": 4, "tokens": 8, "depth": None}
    }

    epochs: NonNegativeInt = 30
    lr: NonNegativeFloat = 0.003
    batch: PositiveInt = 32
    tokens: PositiveInt = 8
    """Learned tokens of a block."""
    depth: PositiveInt | None = None
    """Blocks with tokens of their own, from the first; 1: shallow, None: all."""

    def fit(self, task: Task) -> Self:
        """Learn the tokens from the support."""
        self.prepare(task)
        inside = blocks(self.model_.visual, "vpt", "vision")
        depth = min(self.depth or len(inside), len(inside))
        rows = random_tokens(task, depth, self.tokens, self.model_.visual.transformer.width)
        prompt_image_tower(self.model_.visual, inside, as_they_are(rows))
        self.learn(rows)
        return self


@hookimpl
def harness_method() -> type[Vpt]:
    """Return the method."""
    return Vpt
