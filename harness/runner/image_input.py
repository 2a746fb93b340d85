"""Images on their way to the process of a cell: arrays, of which the large ones are in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.backbones.backbone import Backbone
from harness.device import to_device
from harness.feature_cache.kinds import normalize_pixels
from harness.runner.array_files import ArrayFile
from harness.runner.best_columns import CHUNK
from harness.types.images import Images

FEATURES, PIXELS = "features", "pixels"
"""Names of arrays that are not served by their own name."""

PART_BYTES = 2**28
"""Bytes of the images that are scored at once, if these have more than their features."""


@dataclass(frozen=True)
class ImageInput:
    """n images in v views.

    Attributes:
        arrays: ``features`` ``(n, v, d)`` float32; and by name what else the method declares: ``preprojection``
            ``(n, v, w)``, ``tokens`` ``(n, v, p, d)``, a second encoder's features ``(n, v, e)``, and ``pixels``
            ``(n, v, 3, h, w)`` uint8.
    """

    arrays: Mapping[str, NDArray[Any] | ArrayFile]

    @classmethod
    def of(cls, features: Tensor | NDArray[np.float32]) -> ImageInput:
        """Images with a copy of features ``(n, v, d)`` and nothing else."""
        return cls({FEATURES: as_floats(features)})

    def images(self, backbone: Backbone) -> Images:
        """All images, on the backbone's device."""
        return _images(self._opened(), backbone)

    def parts(self, backbone: Backbone) -> Iterator[Images]:
        """The images in order, as many at a time as are scored at once."""
        arrays = self._opened()
        n = len(arrays[FEATURES])
        each = sum(array.nbytes for array in arrays.values()) // max(1, n)
        plain = len(arrays) == 1 and arrays[FEATURES].shape[1] == 1
        size = CHUNK if plain else max(1, min(CHUNK, PART_BYTES // each))
        for start in range(0, n, size):
            yield _images({name: array[start : start + size] for name, array in arrays.items()}, backbone)

    def _opened(self) -> dict[str, NDArray[Any]]:
        return {name: array.mapped() if isinstance(array, ArrayFile) else array for name, array in self.arrays.items()}


def _images(arrays: Mapping[str, NDArray[Any]], backbone: Backbone) -> Images:
    kinds = {name: _on(array, backbone.device) for name, array in arrays.items() if name not in (FEATURES, PIXELS)}
    pixels = (
        ArrayPixels(arrays[PIXELS], partial(normalize_pixels, backbone), backbone.device) if PIXELS in arrays else None
    )
    return Images(_on(arrays[FEATURES], backbone.device), _kinds=kinds, _pixels=pixels)


def _on(array: NDArray[Any], device: torch.device) -> Tensor:
    return to_device(torch.from_numpy(array), device)


@dataclass(frozen=True)
class ArrayPixels:
    """The pixels of n images in v views, ``(n, v, 3, h, w)`` uint8; only those that are asked for are read."""

    array: NDArray[np.uint8]
    normalize: Callable[[Tensor], Tensor]
    device: torch.device

    def __call__(self, rows: Tensor, view: int | Tensor) -> Tensor:
        """Normalized pixels ``(b, 3, h, w)`` of images ``(b,)`` in one view, or in one for each."""
        views = view if isinstance(view, int) else view.cpu().numpy()
        chosen = torch.from_numpy(np.ascontiguousarray(self.array[rows.cpu().numpy(), views]))
        return self.normalize(to_device(chosen, self.device))

    def select(self, rows: Any) -> ArrayPixels:
        """Those of some images."""
        index = rows.cpu().numpy() if isinstance(rows, Tensor) else rows
        return ArrayPixels(self.array[index], self.normalize, self.device)


def as_floats(features: Tensor | NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy of features as an array."""
    plain = features.detach().cpu().numpy() if isinstance(features, Tensor) else features
    return np.array(plain, dtype=np.float32, order="C", copy=True)
