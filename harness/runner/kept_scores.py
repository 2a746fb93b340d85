"""What a cell stores of the scores of images in one vocabulary: predictions, confidences, and margins of the sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.metrics.confidence import stored_confidence
from harness.runner.best_columns import BestColumns
from harness.types.vocabulary import Vocabulary

SIDES = ("oop", "ip")


class KeptScores(NamedTuple):
    """What is stored of the scores of m images.

    Attributes:
        best: the best columns.
        confidence: ``(m,)`` log-odds of the best column's softmax probability, as of ``stored_confidence``.
        own: in a vocabulary of both sides, the best columns of each side among its own names: OOP, then IP. Else ().
        margin: in a vocabulary of both sides, ``(m,)`` the best OOP score minus the best IP score. Else ``(0,)``.
    """

    best: BestColumns
    confidence: NDArray[np.uint16]
    own: tuple[BestColumns, ...]
    margin: NDArray[np.float64]

    @classmethod
    def of(cls, scores: Tensor, vocabulary: Vocabulary) -> KeptScores:
        """That of scores ``(m, k)`` of a vocabulary whose OOP names come first."""
        best, exact, oop = BestColumns.of(scores), scores.double(), sum(vocabulary.oop)
        highest, column = exact.max(dim=1)
        others = exact.scatter(1, column[:, None], -torch.inf).logsumexp(dim=1)
        confidence = stored_confidence((highest - others).cpu().numpy())
        if oop in (0, len(vocabulary)):
            return cls(best, confidence, (), np.zeros(0))
        sides = (slice(oop), slice(oop, None))
        highest_oop, highest_ip = (exact[:, side].amax(dim=1) for side in sides)
        own = tuple(BestColumns.of(scores[:, side]) for side in sides)
        return cls(best, confidence, own, (highest_oop - highest_ip).cpu().numpy())

    @classmethod
    def joined(cls, parts: Sequence[KeptScores]) -> KeptScores:
        """That of the images of all parts."""
        best, confidence, own, margin = zip(*parts, strict=True)
        each = tuple(BestColumns.joined(of_side) for of_side in zip(*own, strict=True))
        return cls(BestColumns.joined(best), np.concatenate(confidence), each, np.concatenate(margin))

    def arrays(self, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
        """The arrays with their names, to send."""
        yield from self.best.arrays(name)
        yield f"{name}.confidence", self.confidence
        for side, columns in zip(SIDES, self.own, strict=False):
            yield from columns.arrays(f"{name}.{side}")
        if self.own:
            yield f"{name}.margin", self.margin

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[Any]], name: str, images: int, vocabulary: Vocabulary) -> KeptScores:
        """That which another process sent under a name, of so many images.

        Raises:
            ValueError: it is not.
        """
        oop = sum(vocabulary.oop)
        best = BestColumns.read(arrays, name, images, len(vocabulary))
        confidence = _vector(arrays, f"{name}.confidence", images, np.uint16)
        if oop in (0, len(vocabulary)):
            return cls(best, confidence, (), np.zeros(0))
        of_sides = zip(SIDES, (oop, len(vocabulary) - oop), strict=True)
        own = tuple(BestColumns.read(arrays, f"{name}.{side}", images, names) for side, names in of_sides)
        margin = _vector(arrays, f"{name}.margin", images, np.float64)
        if np.isnan(margin).any():
            raise ValueError(f"{name}.margin is not a vector of numbers")
        return cls(best, confidence, own, margin)


def _vector(arrays: Mapping[str, NDArray[Any]], name: str, length: int, kind: type[np.generic]) -> NDArray[Any]:
    found = arrays.get(name)
    if found is None or found.dtype != kind or found.shape != (length,):
        raise ValueError(f"{name} is not a vector of {length} {np.dtype(kind)}")
    return found
