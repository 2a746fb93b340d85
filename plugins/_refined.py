"""Features whose classes stand apart: what labelled images of other classes, and neighbours, can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from ._clusters import means_of, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Support

NEIGHBOURS = 8
"""Of an image when mean shift moves it."""
SHRINKAGE = 0.3
"""Share of a sphere in the covariance within known classes."""


def whitening(known: Support) -> Callable[[Tensor], Tensor]:
    """What sets unit rows into the metric of the known classes: directions in which their images differ count less."""
    if len(known.label) <= len(known.label.unique()):
        return lambda x: x
    image, label = known.image[:, 0], known.label
    inside = image - means_of(image, label)[label]
    covariance = inside.T @ inside / len(inside)
    sphere = torch.eye(len(covariance), dtype=image.dtype, device=image.device) * covariance.diagonal().mean()
    values, vectors = torch.linalg.eigh((1 - SHRINKAGE) * covariance + SHRINKAGE * sphere)
    scaled = vectors * values.clamp_min(1e-12) ** -0.5
    return lambda x: F.normalize(x @ scaled @ vectors.T, dim=1)


def shifted(x: Tensor, times: int) -> Tensor:
    """Every unit row moved towards its nearest others, so many times (mean shift; Fukunaga and Hostetler, 1975)."""
    for _ in range(times if len(x) > 1 else 0):
        x = F.normalize(x[nearest(x, NEIGHBOURS)[1]].mean(dim=1) + x, dim=1)
    return x
