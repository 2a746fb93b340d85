"""PLOT: several learned prompts for each name, matched with the patches of an image by optimal transport."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._context import LearnedContext
from ._training import PAPER, Batch, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, TrainedMethod

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

SWEEPS = 100
"""Sinkhorn iterations, of rows and columns."""


@dataclass
class PLOT(TrainedMethod):
    """Prompts of a name share the patches of an image by optimal transport (Chen et al., ICLR 2023).

    The n contexts are learned as in CoOp, with the name last, and are shared by all names. The score of a name is
    ``logit_scale * sum(plan * cosines)`` of patches ``(p,)`` and prompts ``(n,)``; the plan has uniform sums, minimises
    the cost ``1 - cosines`` with the entropy weight ``sharpness``, and gets no gradient. Always the same number of
    Sinkhorn iterations runs, in logarithms: the authors stop one batch at a tolerance of 0.01, which makes an image
    depend on its batch, and stop training where a plan is not a number.

    Any name can be scored. The authors add the score of the whole image on ImageNet alone; here it is left out.

    It needs patch tokens that mean something in the space of the text. Those of the miniature's vision transformer were
    never trained to: zero-shot with the mean of the patches is right for 7.7 % of OOP and 10.7 % of IP images, with the
    class token for 22.3 % and 49.6 %, so this method does not pass zero-shot there.
    """

    needs = Needs(support=True, tokens=True)
    paper = Paper(
        "Chen et al.",
        "PLOT: Prompt Learning with Optimal Transport for Vision-Language Models",
        "ICLR",
        2023,
        "https://arxiv.org/abs/2210.01253",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {**PAPER, "lr": 0.002, "epochs": 50, "batch": 128, "length": 16, "prompts": 4}
    }

    prompts: PositiveInt = 4
    """Prompts of each name."""
    length: PositiveInt = 4
    """Tokens of each context, which start from noise."""
    sharpness: PositiveFloat = 0.1
    """Weight of the plan's entropy."""
    epochs: NonNegativeInt = 50
    lr: NonNegativeFloat = 0.01
    batch: PositiveInt | None = None
    """Images of a step; None: all of the support."""

    def fit(self, task: Task) -> Self:
        """Learn the contexts from the patches of the support."""
        self.task_ = task
        self.contexts_ = [LearnedContext(task, "", self.length) for _ in range(self.prompts)]
        tokens = self.contexts_[0].tokens(task.names)

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(self._match(batch.image, self._encode(tokens)), batch.label)

        support = task.support.with_features(task.support.tokens)
        self.train(task, [context.rows for context in self.contexts_], loss, self.batch, support=support)
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """The scores ``(m, k)`` of the patches of m images."""
        text = self._encode(self.contexts_[0].tokens(vocabulary.names))
        return self._match(images.tokens[:, 0], text)

    def trainable(self) -> int:
        """Elements of the contexts."""
        return sum(context.rows.numel() for context in self.contexts_)

    def _encode(self, tokens: Any) -> Tensor:
        """Unit rows ``(k, n, d)`` of every prompt of k names."""
        return torch.stack([context.encode(tokens) for context in self.contexts_], dim=1)

    def _match(self, patches: Tensor, text: Tensor) -> Tensor:
        """Scores ``(m, k)`` of patches ``(m, p, d)`` and prompts ``(k, n, d)``."""
        cosines = torch.einsum("mpd,knd->mkpn", patches, text)
        with torch.no_grad():
            plan = transport(cosines / self.sharpness)
        return self.task_.logit_scale * (plan * cosines).sum(dim=(2, 3))


def transport(scores: Tensor) -> Tensor:
    """Plans ``(..., p, n)`` with row sums 1 / p and column sums 1 / n (Cuturi, NeurIPS 2013).

    Args:
        scores: negative costs over the entropy's weight.
    """
    p, n = scores.shape[-2:]
    row, column = scores.new_zeros(()), scores.new_zeros(())
    for _ in range(SWEEPS):
        row = -torch.logsumexp(scores + column, dim=-1, keepdim=True) - math.log(p)
        column = -torch.logsumexp(scores + row, dim=-2, keepdim=True) - math.log(n)
    return (scores + row + column).exp()


@hookimpl
def harness_method() -> type[PLOT]:
    """Return the method."""
    return PLOT
