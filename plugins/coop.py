"""Context optimization (CoOp): learn the words before the name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._context import LearnedContext, Position
from ._training import PAPER, Batch, NonNegativeFloat, NonNegativeInt, PositiveInt, TrainedMethod
from ._vocabulary import require_fitted_positions

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Support, Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class CoOp(TrainedMethod):
    """Context optimization: learned tokens before the name, shared by all names (Zhou et al., IJCV 2022).

    The prompt is ``[context] name.``; the loss is the cross-entropy over the OOP names. IP names are scored with the
    same learned context, so the method loses IP accuracy. With class-specific contexts (CSC) the vocabulary is fixed.

    The preset ``paper`` is LAION-Beyond's run. CoOp's own paper starts from 16 random tokens
    (``-p coop.length=16``), and trains 50 epochs with one shot and 100 with two or four.
    """

    needs = Needs(support=True)
    paper = Paper(
        "Zhou et al.",
        "Learning to Prompt for Vision-Language Models",
        "IJCV",
        2022,
        "https://arxiv.org/abs/2109.01134",
    )
    presets = {"paper": {**PAPER, "lr": 0.002, "batch": 128}}  # noqa: RUF012 - read only

    epochs: NonNegativeInt = 100
    lr: NonNegativeFloat = 0.03
    batch: PositiveInt | None = None
    """Images of a step; None: all of the support."""
    context: str = "a photo of a"
    """Initial context; the learned context has as many tokens."""
    length: PositiveInt | None = None
    """Tokens of a randomly initialised context; None: start from ``context``."""
    class_specific: bool = False
    """Learn a separate context for every name."""
    position: Position = "end"
    """Position of the name: after the context, between its halves, or before it."""

    def fit(self, task: Task) -> Self:
        """Learn the context from the support."""
        self.learn(task)
        return self

    def learn(self, task: Task, support: Support | None = None) -> None:
        """Learn the context from labelled images; by default the task's support."""
        self.task_ = task
        own = task.names if self.class_specific else ()
        self.context_ = LearnedContext(task, self.context, self.length, own, self.position)
        tokens = self.context_.tokens(task.names)

        def loss(batch: Batch) -> Tensor:
            text = self.context_.encode(tokens)
            return F.cross_entropy(task.logit_scale * batch.image @ text.T, batch.label)

        self.train(task, [self.context_.rows], loss, self.batch, support=support)

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T``, every name with the learned context.

        Raises:
            FixedVocabulary: a name has no context.
        """
        if self.class_specific:
            require_fitted_positions(vocabulary, self.task_, "coop")
        text = self.context_.encode(self.context_.tokens(vocabulary.names))
        return self.task_.logit_scale * images.features[:, 0] @ text.T

    def trainable(self) -> int:
        """Elements of the context."""
        return self.context_.rows.numel()


@hookimpl
def harness_method() -> type[CoOp]:
    """Return the method."""
    return CoOp
