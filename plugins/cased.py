"""CaSED: captions like the image, retrieved from a list, vote on its name next to the image itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.errors import UserError
from harness.hookspecs import hookimpl
from harness.method import File, Method
from harness.prompts import Piece, Prompt
from harness.types.paper import Paper
from harness.types.task import Needs

from ._training import Fraction, PositiveInt
from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class CaSED(Method):
    """Category search from retrieved captions, with the names as the candidates (Conti et al., NeurIPS 2023).

    The ``nearest`` texts of a list are retrieved for an image, by cosine; c is the normalised mean of their features.
    With x the image and t the names, the probability of a name is ``alpha * softmax(logit_scale * x t) + (1 - alpha) *
    softmax(logit_scale * c t)``; scores are its logarithm. The list is a file, one word or caption a line, or, without
    a file, all sentences of ``--texts``, of all names together: what a sentence is about is not used.

    The paper has no names: it takes the words of the retrieved captions, from a list of millions, as candidates.
    """

    needs = Needs(texts=True)
    seeded = False
    paper = Paper(
        "Conti et al.",
        "Vocabulary-free Image Classification",
        "NeurIPS",
        2023,
        "https://arxiv.org/abs/2306.00917",
    )
    presets = {"paper": {"nearest": 10, "alpha": 0.7}}  # noqa: RUF012 - read only

    words: File | None = None
    """List of words or captions, one a line; None: the sentences of ``--texts``."""
    nearest: PositiveInt = 10
    """Retrieved texts of an image."""
    alpha: Fraction = 0.5
    """Weight of the image; that of the retrieved texts is 1 minus it."""

    def __post_init__(self) -> None:
        if self.words is not None:
            self.needs = Needs()

    def fit(self, task: Task) -> Self:
        """Encode the list."""
        self.task_ = task
        if self.words is None:
            lines = [text for sentences in task.texts.values() for text in sentences]
        else:
            lines = [line.strip() for line in self.words.read_text().splitlines()]
        texts = sorted({line for line in lines if line})
        if not texts:
            raise UserError("cased has no word to retrieve", "give a file with one word or caption a line")
        self.list_ = task.text.encode([Prompt((Piece(text),)) for text in texts])
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Log-probabilities, from the image and from the texts that are retrieved for it."""
        image, scale = images.features[:, 0], self.task_.logit_scale
        text = zero_shot_text(self.task_, vocabulary)
        near = (image @ self.list_.T).topk(min(self.nearest, len(self.list_)), dim=1).indices
        retrieved = F.normalize(self.list_[near].mean(dim=1), dim=1)
        own, theirs = ((scale * rows @ text.T).softmax(dim=1) for rows in (image, retrieved))
        return (self.alpha * own + (1 - self.alpha) * theirs).clamp_min(torch.finfo(own.dtype).tiny).log()


@hookimpl
def harness_method() -> type[CaSED]:
    """Return the method."""
    return CaSED
