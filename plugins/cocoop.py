"""Conditional context optimization (CoCoOp): a context that depends on the image."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._context import LearnedContext
from ._layers import uniform_init
from ._training import PAPER, Batch, NonNegativeFloat, NonNegativeInt, PositiveInt, TrainedMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

IMAGES = 64
"""Images that are scored at once, each with its own prompts."""


@dataclass
class CoCoOp(TrainedMethod):
    """CoOp whose context is moved by a small network of the image (Zhou et al., CVPR 2022).

    The meta-net, D -> D/16 -> width with a ReLU between, adds the same vector to every context token. Every pair of
    image and name has its own prompt, in training and in scoring, without approximation. For speed, an epoch of the
    default setting is one batch of random support images instead of all of them.

    The presets are LAION-Beyond's runs of 10 and of 200 epochs. CoCoOp's own paper has 10 epochs, one image a step and
    a learning rate of 0.002.
    """

    needs = Needs(support=True)
    paper = Paper(
        "Zhou et al.",
        "Conditional Prompt Learning for Vision-Language Models",
        "CVPR",
        2022,
        "https://arxiv.org/abs/2203.05557",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {**PAPER, "lr": 0.032, "batch": 16, "epochs": 10, "images": None},
        "paper-200": {**PAPER, "lr": 0.032, "batch": 16, "epochs": 200, "images": None},
    }

    epochs: NonNegativeInt = 16
    lr: NonNegativeFloat = 0.03
    batch: PositiveInt = 16
    """Images of a step; each needs one prompt per OOP name."""
    images: PositiveInt | None = 16
    """Random support images of an epoch; None: all."""
    context: str = "a photo of a"
    """Initial context; the learned context has as many tokens."""

    def fit(self, task: Task) -> Self:
        """Learn the context and the meta-net from the support."""
        self.task_ = task
        self.context_ = LearnedContext(task, self.context)
        size = task.support.features.shape[2]
        hidden, width = max(1, size // 16), task.text.width
        self.net_ = [
            uniform_init(task, hidden, size, inputs=size),
            uniform_init(task, hidden, inputs=size),
            uniform_init(task, width, hidden, inputs=hidden),
            uniform_init(task, width, inputs=hidden),
        ]
        self.known_: dict[tuple[str, ...], dict[bytes, Tensor]] = {}
        groups = self.context_.by_length(task.names)

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(self._pairs(batch.image, groups), batch.label)

        self.train(task, [self.context_.rows, *self.net_], loss, self.batch, self.images)
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image_i . text_ij``, with text_ij the prompt of name j for image i."""
        image = images.features[:, 0]
        # The joint vocabulary is scored before each side's own: scores are cached by vocabulary and image.
        keys = [hashlib.sha256(row.tobytes()).digest() for row in image.cpu().numpy()]
        for names, rows in self.known_.items():
            if set(names) >= set(vocabulary.names) and rows.keys() >= set(keys):
                place = {name: j for j, name in enumerate(names)}
                return torch.stack([rows[key] for key in keys])[:, [place[name] for name in vocabulary.names]]
        scores = self._scores(image, vocabulary.names)
        self.known_.setdefault(vocabulary.names, {}).update(zip(keys, scores, strict=True))
        return scores

    def _scores(self, image: Tensor, names: Sequence[str]) -> Tensor:
        groups = self.context_.by_length(names)
        with torch.no_grad():
            return torch.cat([self._pairs(chunk, groups) for chunk in image.split(IMAGES)])

    def trainable(self) -> int:
        """Elements of the context and the meta-net."""
        return self.context_.rows.numel() + sum(weight.numel() for weight in self.net_)

    def _pairs(self, image: Tensor, groups: list[tuple[Tensor, Any]]) -> Tensor:
        """Scores ``(n, k)`` of n images, each with its own k prompts."""
        down, bias, up, shift = self.net_
        moved = torch.relu(image @ down.T + bias) @ up.T + shift
        scores = image.new_empty(len(image), sum(len(columns) for columns, _ in groups))
        for columns, tokens in groups:
            scores[:, columns] = torch.einsum("nd,nkd->nk", image, self.context_.encode_shifted(tokens, moved))
        return self.task_.logit_scale * scores


@hookimpl
def harness_method() -> type[CoCoOp]:
    """Return the method."""
    return CoCoOp
