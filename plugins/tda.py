"""TDA: caches of the most certain and of uncertain test images, filled as images come one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._certain_views import by_certainty, entropy, kept
from ._training import Fraction, NonNegativeFloat, PositiveInt
from ._view_method import ViewMethod
from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

UNCERTAIN = (0.2, 0.5)
"""Entropy, in nats over the binary logarithm of the number of names, between which an image is uncertain."""

POSSIBLE = 0.03
"""Probability from which a name is possible for an uncertain image."""


@dataclass
class Cache:
    """For each name the few images of lowest entropy that were predicted to have it.

    Attributes:
        size: images of a name.
        items: name's column -> (entropy, feature ``(d,)``, value ``(k,)``) of its images, the lowest entropy first.
    """

    size: int
    items: dict[int, list[tuple[float, Tensor, Tensor]]] = field(default_factory=dict)

    def add(self, column: int, item: tuple[float, Tensor, Tensor]) -> None:
        """Add an image; the one of highest entropy leaves a full cache, of equal ones the latest."""
        self.items[column] = sorted([*self.items.get(column, ()), item], key=lambda one: one[0])[: self.size]

    def affinity(self, image: Tensor, sharpness: float) -> Tensor | float:
        """``exp(-sharpness * (1 - image @ keys.T)) @ values``, ``(k,)``; zero for an empty cache."""
        items = [item for column in sorted(self.items) for item in self.items[column]]
        if not items:
            return 0.0
        keys, values = torch.stack([key for _, key, _ in items]), torch.stack([value for *_, value in items])
        return torch.exp(-sharpness * (1 - keys @ image)) @ values


@dataclass
class Stream:
    """What is known of the images of one vocabulary so far."""

    names: Tensor
    positive: Cache
    negative: Cache


@dataclass
class TDA(ViewMethod):
    """Zero-shot and two caches of earlier test images, without training (Karmanov et al., CVPR 2024).

    ``scores = zero-shot + alpha * positive - negative_alpha * negative``, each cache's part being
    ``exp(-beta * (1 - image @ keys.T)) @ values``. An image is put into the positive cache of the name predicted for
    it, which keeps the three of lowest entropy; its value is that name. Of uncertain images the negative cache keeps
    two of each predicted name; their values are the names that are possible, with a probability of at least 3%.

    The authors put an image into the caches before they score it, so that it adds alpha to its own prediction, and the
    first image of every name keeps its zero-shot answer. Here an image is scored by earlier ones; ``sees_itself``, and
    the preset ``paper``, are theirs. Of several views, those of lowest entropy are averaged; the mean is normalised,
    which the authors leave out. Their alpha and beta depend on the data set: the defaults are those of ImageNet.
    """

    needs = Needs(stream=True)
    paper = Paper(
        "Karmanov et al.",
        "Efficient Test-Time Adaptation of Vision-Language Models",
        "CVPR",
        2024,
        "https://arxiv.org/abs/2403.18293",
    )
    presets = {"paper": {"test_views": 64, "sees_itself": True}}  # noqa: RUF012 - read only

    alpha: NonNegativeFloat = 2.0
    """Weight of the positive cache."""
    beta: NonNegativeFloat = 8.0
    """Sharpness of its affinity."""
    shots: PositiveInt = 3
    """Images of each name in the positive cache."""
    negative_alpha: NonNegativeFloat = 0.117
    """Weight of the negative cache."""
    negative_beta: NonNegativeFloat = 1.0
    """Sharpness of its affinity."""
    negative_shots: PositiveInt = 2
    """Images of each name in the negative cache."""
    sees_itself: bool = False
    """Whether an image is put into the caches before it is scored."""
    test_views: PositiveInt = 1
    keep: Fraction = 0.1
    """Share of the views that is averaged; at least one is."""

    def fit(self, task: Task) -> Self:
        """Store the task; images are learned from as they are scored."""
        self.streams_: dict[Vocabulary, Stream] = {}
        return super().fit(task)

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """The scores ``(1, k)`` of the next image of a vocabulary's stream."""
        stream = self._stream(vocabulary)
        return torch.stack([self._next(views, stream) for views in images.features])

    def _stream(self, vocabulary: Vocabulary) -> Stream:
        if vocabulary not in self.streams_:
            text = zero_shot_text(self.task_, vocabulary)
            self.streams_[vocabulary] = Stream(text, Cache(self.shots), Cache(self.negative_shots))
        return self.streams_[vocabulary]

    def _next(self, views: Tensor, stream: Stream) -> Tensor:
        """The scores ``(k,)`` of an image with views ``(v, d)``."""
        scale = self.task_.logit_scale
        order = by_certainty(scale * views[None] @ stream.names.T)[0]
        image = F.normalize(views[order[: kept(len(views), self.keep)]].mean(dim=0), dim=0)
        zero_shot = scale * image @ stream.names.T
        if self.sees_itself:
            self._remember(image, zero_shot, stream)
        positive = stream.positive.affinity(image, self.beta)
        negative = stream.negative.affinity(image, self.negative_beta)
        if not self.sees_itself:
            self._remember(image, zero_shot, stream)
        return zero_shot + self.alpha * positive - self.negative_alpha * negative

    def _remember(self, image: Tensor, zero_shot: Tensor, stream: Stream) -> None:
        """Put an image into the positive cache, and an uncertain one into the negative cache."""
        certainty, column = float(entropy(zero_shot.log_softmax(dim=0))), int(zero_shot.argmax())
        value = F.one_hot(zero_shot.argmax(), len(zero_shot)).to(image.dtype)
        stream.positive.add(column, (certainty, image, value))
        low, high = (bound * math.log2(len(zero_shot)) for bound in UNCERTAIN)
        if low < certainty < high:
            probability = zero_shot.softmax(dim=0)
            possible = ((probability > POSSIBLE) & (probability < 1)).to(image.dtype)
            stream.negative.add(column, (certainty, image, possible))


@hookimpl
def harness_method() -> type[TDA]:
    """Return the method."""
    return TDA
