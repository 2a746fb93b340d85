"""TCP: every name's own text feature is mapped to tokens that enter the text tower in a middle block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._context import LearnedContext
from ._deep_prompts import replace_tokens
from ._layers import uniform_init
from ._towers import TowerMethod, blocks, text_tower
from ._training import PAPER, Batch, NonNegativeFloat, NonNegativeInt, PositiveInt
from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

QUICK = 1.702
"""Factor of the sigmoid in QuickGELU."""


@dataclass
class TCP(TowerMethod):
    """Textual-based class-aware prompt tuning: tokens made of each name's text feature (Yao et al., CVPR 2024).

    The prompt is ``[context] name.``, with a learned context that all names share, as in CoOp. Before one block of the
    text tower the context's tokens are replaced by ``up(QuickGELU(down(t)))``, where t is the frozen text feature of
    the name in the protocol's prompt; so a name that was not fitted has its own tokens too. The loss is the
    cross-entropy over the OOP names plus ``hold * (1 - mean cos(new text, t))``. The image tower is frozen.

    The preset ``paper`` has the authors' setting, which begins with random context; 16 cached views replace new crops.
    They insert the tokens before the ninth of twelve blocks; by default it is the first block past two thirds. Their
    prompts end in words about the data set, such as "a type of pet"; here they end in the name.
    """

    needs = Needs(support=True, model=True)
    towers = "text"
    paper = Paper(
        "Yao et al.",
        "TCP: Textual-based Class-aware Prompt tuning for Visual-Language Model",
        "CVPR",
        2024,
        "https://arxiv.org/abs/2311.18231",
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {**PAPER, "optimizer": "adam", "lr": 0.002, "epochs": 50, "batch": 32}
        | {"length": 4, "block": 8, "hold": 8.0}
    }

    epochs: NonNegativeInt = 100
    lr: NonNegativeFloat = 0.01
    batch: PositiveInt | None = None
    """Images of a step; None: all of the support."""
    context: str = "a photo of a"
    """Initial context; the learned context has as many tokens."""
    length: PositiveInt | None = None
    """Tokens of a randomly initialised context; None: start from ``context``."""
    block: NonNegativeInt | None = None
    """Block whose input gets the tokens, from 0; at most the last. None: the first past two thirds."""
    hold: NonNegativeFloat = 1.0
    """Weight of the distance to the frozen text features."""

    def fit(self, task: Task) -> Self:
        """Learn the context and the map from text features to tokens."""
        self.prepare(task)
        inside = blocks(text_tower(self.model_), "tcp", "text")
        self.context_ = LearnedContext(task, self.context, self.length, tower=self.tower_)
        rows, text = self.context_.rows, zero_shot_text(task, task.vocabulary)
        size, hidden = text.shape[1], max(1, text.shape[1] // 4)
        self.net_ = [
            uniform_init(task, *shape, inputs=inputs)
            for inputs, out in ((size, hidden), (hidden, rows.numel()))
            for shape in ((inputs, out), (out,))
        ]
        at = 2 * len(inside) // 3 if self.block is None else min(self.block, len(inside) - 1)
        first = int(self.context_.tokens(task.names).slot[0, 1])
        replace_tokens(inside[at], lambda: self.class_tokens_, first)

        def loss(image: Tensor, learned: Tensor, batch: Batch) -> Tensor:
            apart = 1 - (learned * text).sum(dim=1).mean()
            return self.cross_entropy(image, learned, batch) + self.hold * apart

        self.learn([rows, *self.net_], loss)
        return self

    def tokenize(self, vocabulary: Vocabulary) -> Any:
        """Frozen text features, and tokenized prompts, of k names."""
        return zero_shot_text(self.task_, vocabulary), self.context_.tokens(vocabulary.names)

    def encode_text(self, tokens: Any) -> Tensor:
        """Unit rows ``(k, d)`` by the text tower with the names' own tokens."""
        frozen, prompts = tokens
        self.class_tokens_ = self.tokens_of(frozen)
        return self.context_.encode(prompts)

    def tokens_of(self, text: Tensor) -> Tensor:
        """Tokens ``(k, r, width)`` of text features ``(k, d)``."""
        down, bias, up, last = self.net_
        hidden = text.to(down.dtype) @ down + bias
        hidden = hidden * F.sigmoid(QUICK * hidden)
        return (hidden @ up + last).unflatten(1, (-1, self.context_.rows.shape[1]))


@hookimpl
def harness_method() -> type[TCP]:
    """Return the method."""
    return TCP
