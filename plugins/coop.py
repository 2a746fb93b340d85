"""Context optimization (CoOp): learn the words before the name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.task import Needs

from ._context import LearnedContext, Position
from ._training import PAPER, Batch, Count, Epochs, Rate, Trained
from ._vocabulary import fixed_positions

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class CoOp(Trained):
    """Context optimization: learned tokens before the name, shared by all names (Zhou et al., IJCV 2022).

    The prompt is ``[context] name.``; the loss is the cross-entropy of an image's own name among the OOP names. IP
    names are scored behind the same learned context, which is where the method loses IP accuracy. With contexts of the
    names' own (CSC) the vocabulary is fixed.

    The preset ``paper`` is LAION-Beyond's run. CoOp's own paper starts from 16 random tokens
    (``-p coop.length=16``), and trains for 50 epochs on one shot and for 100 on two and four.
    """

    needs = Needs(support=True)
    paper = "Zhou et al., IJCV 2022"
    presets = {"paper": {**PAPER, "lr": 0.002, "batch": 128}}  # noqa: RUF012 - read only

    epochs: Epochs = 100
    lr: Rate = 0.03
    batch: Count | None = None
    """Images of a step; None takes all of the support."""
    context: str = "a photo of a"
    """What the learned context starts from; it has as many tokens as this text."""
    length: Count | None = None
    """Tokens of a context that starts from noise; None starts from the text."""
    class_specific: bool = False
    """Whether every name has a context of its own."""
    position: Position = "end"
    """Where the name stands: after the context, between its halves, or before it."""

    def fit(self, task: Task) -> Self:
        """Learn the context from the support."""
        self.task_ = task
        own = task.names if self.class_specific else ()
        self.context_ = LearnedContext(task, self.context, self.length, own, self.position)
        tokens = self.context_.tokens(task.names)

        def loss(batch: Batch) -> Tensor:
            text = self.context_.encode(tokens)
            return F.cross_entropy(task.logit_scale * batch.image @ text.T, batch.label)

        self.train(task, [self.context_.rows], loss, self.batch)
        return self

    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T``, every name with the learned context.

        Raises:
            FixedVocabulary: a name has no context.
        """
        if self.class_specific:
            fixed_positions(vocabulary, self.task_, "coop")
        text = self.context_.encode(self.context_.tokens(vocabulary.names))
        return self.task_.logit_scale * image @ text.T

    def trainable(self) -> int:
        """Context tokens times width."""
        return self.context_.rows.numel()


@hookimpl
def harness_method() -> type[CoOp]:
    """Return the method."""
    return CoOp
