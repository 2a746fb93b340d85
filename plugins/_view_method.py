"""Base of the methods that look at several views of every scored image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.method import Method

from ._training import Fraction, PositiveInt

if TYPE_CHECKING:
    from typing_extensions import Self

    from harness.types.task import Task


@dataclass
class ViewMethod(Method):
    """Base of the methods that compare views of a scored image, and see no labelled images."""

    seeded = False

    test_views: PositiveInt = 16
    """Views of each scored image: the whole image, then random crops. Each view takes as long to encode as all images
    once, and is cached."""
    crop: Fraction = 0.08
    """Minimum area of a view's crop, as a share of the image."""

    def fit(self, task: Task) -> Self:
        """Store the task; nothing is learned before an image is scored."""
        self.task_ = task
        return self
