"""Image features of one part of a split, on the run's device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from harness.metrics.feature_tree import leaves_by_class, tree_leaves
from harness.metrics.prediction_kinds import LEVELS, SUBGROUP_LEVELS, Columns

SMALLEST_SPLIT = 20
"""Images of a class that are split into subgroups: of fewer, accuracies of the halves are noise."""


@dataclass(frozen=True)
class Features:
    """Encoded images and their labels.

    Attributes:
        image: ``(n, v, d)`` unit rows; v augmented views, v = 1 for scored parts.
        label: ``(n,)`` int64, position in the names of the split.
        unreadable: paths of images that cannot be decoded; they are in neither tensor.
        sha256: ``(n,)`` sha256 of the image files, in ascending order; of drawn ones in the draw's.
    """

    image: Tensor
    label: Tensor
    unreadable: tuple[str, ...] = ()
    sha256: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.image.ndim != 3:
            raise ValueError(f"image features must be (n, v, d), not {tuple(self.image.shape)}")
        if self.label.shape != self.image.shape[:1]:
            raise ValueError(f"{tuple(self.label.shape)} labels for {self.image.shape[0]} images")

    @cached_property
    def groups(self) -> dict[str, Columns]:
        """Groups of the images by their first view: ``subgroup`` within their class, ``leaf`` within all ``(n,)``."""
        rows, label = self.image[:, 0].float().cpu().numpy(), self.label.cpu().numpy()
        return {
            "subgroup": leaves_by_class(rows, label, SUBGROUP_LEVELS, SMALLEST_SPLIT),
            "leaf": tree_leaves(rows, LEVELS, smallest=2),
        }
