"""Feature transforms before clustering: whitening by labelled classes, and mean shift."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from ._clustering import class_means, nearest_neighbours

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Support

NEIGHBOURS = 8
"""Neighbours of an image in mean shift."""
SHRINKAGE = 0.3
"""Shrinkage of the within-class covariance towards a multiple of the identity."""


def whitening(known: Support) -> Callable[[Tensor], Tensor]:
    """Transform of unit rows that whitens the within-class covariance of the known classes."""
    if len(known.label) <= len(known.label.unique()):
        return lambda x: x
    image, label = known.features[:, 0], known.label
    inside = image - class_means(image, label)[label]
    covariance = inside.T @ inside / len(inside)
    sphere = torch.eye(len(covariance), dtype=image.dtype, device=image.device) * covariance.diagonal().mean()
    values, vectors = torch.linalg.eigh((1 - SHRINKAGE) * covariance + SHRINKAGE * sphere)
    scaled = vectors * values.clamp_min(1e-12) ** -0.5
    return lambda x: F.normalize(x @ scaled @ vectors.T, dim=1)


def mean_shift(x: Tensor, times: int) -> Tensor:
    """Move every unit row towards its nearest neighbours, ``times`` times (Fukunaga and Hostetler, 1975)."""
    for _ in range(times if len(x) > 1 else 0):
        x = F.normalize(x[nearest_neighbours(x, NEIGHBOURS)[1]].mean(dim=1) + x, dim=1)
    return x
