"""Extractors: what turns preprocessed images into rows of one kind, such as features, and how the rows are cached."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.feature_cache.shard import Dtype, RowRule
from harness.feature_cache.store import FeatureStore
from harness.types.cell import Decoding

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MAX_SHARD_IMAGES = 4096
MAX_SHARD_BYTES = 1 << 27
"""Bounds of a shard of the cache; a killed run loses at most one, and memory holds three copies of one."""


@dataclass(frozen=True)
class Extractor:
    """Turns preprocessed images into rows of one kind.

    Attributes:
        kind: of its rows: ``features``, ``preprojection``, ``tokens`` or ``pixels``.
        key: of its rows in the cache; covers all that they depend on but the image and the view.
        description: one line for lists.
        source: what computes the rows, in messages.
        decoding: how image files become RGB.
        preprocess: image -> pixels ``(3, h, w)`` uint8.
        size: width and height of a preprocessed image.
        encode: pixels ``(b, 3, h, w)`` on the CPU -> rows ``(b, *shape)``, on any device.
        shape: of a row.
        dtype: of its numbers.
        unit: whether vectors along the last axis of a row have length 1.
        device: where ``encode`` computes.
    """

    kind: str
    key: str
    description: str
    source: str
    decoding: Decoding
    preprocess: Callable[[Any], NDArray[np.uint8]]
    size: tuple[int, int]
    encode: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]
    dtype: Dtype
    unit: bool
    device: torch.device

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def shard_images(self) -> int:
        """Images in a shard: a power of two, so that full batches fill it."""
        fitting = max(1, MAX_SHARD_BYTES // self.row_bytes)
        return int(min(MAX_SHARD_IMAGES, 1 << (fitting.bit_length() - 1)))

    def store(self, root: Path) -> FeatureStore:
        """The cached rows of this extractor, in the folder of all extractors."""
        return FeatureStore(root, self.key, self.description, rule=RowRule(self.shape, self.dtype, self.unit))


def cache_key(identity: Mapping[str, Any]) -> str:
    """The key of rows that depend on ``identity``, as 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:32]
