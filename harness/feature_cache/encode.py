"""Rows of images, such as features: from the cache, or else encoded and written to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.datasets.image_bytes import RETRY_HINT, read_bytes
from harness.errors import DataError, StorageError
from harness.feature_cache.extractor import Extractor
from harness.feature_cache.image_encoder import EncodedImages, ImageEncoder, ImageSource, changed_error
from harness.feature_cache.store import FeatureStore, is_sha256
from harness.feature_cache.views import MIN_CROP


class Encoder:
    """Returns rows of one kind from the cache and encodes missing ones.

    Attributes:
        extractor: of the rows.
        store: its cached rows.
        images: encodes images.
        encoded: number of images that were encoded and added.
        unreadable: path -> reason, for every image that cannot be decoded.
    """

    def __init__(self, extractor: Extractor, store: FeatureStore, workers: int = 2) -> None:
        self.extractor = extractor
        self.store = store
        self.images = ImageEncoder(extractor, workers)
        self._failed: dict[str, tuple[str, str]] = {}  # sha256 -> path and reason
        self.encoded = 0
        self.unreadable: dict[str, str] = {}

    def ensure(
        self,
        sources: Sequence[ImageSource],
        view: int,
        progress: Callable[[int], None] | None = None,
        crop: float = MIN_CROP,
    ) -> None:
        """Encode images that are not in the cache; ``progress`` is called with the number of newly processed images.

        Raises:
            StorageError: the cache cannot be written, or an image has changed since it was hashed.
            BackboneError: the encoder fails, or returns NaN or infinity.
        """
        unique = {source.sha256: source for source in sources if self._is_readable(source)}
        todo = [unique[digest] for digest in self.store.missing(view, unique, crop)]
        if todo:
            self.store.prepare()
        step = self.extractor.shard_images
        for start in range(0, len(todo), step):
            self.add(self.images.encode(todo[start : start + step], view, crop, progress), view, crop)
        for source in sources:  # several files can share damaged bytes: all empty files do
            if source.sha256 in self._failed:
                path, reason = self._failed[source.sha256]
                self.unreadable[source.path] = reason.replace(path, source.path)
            elif not is_sha256(source.sha256) and source.path not in self.unreadable:
                self.unreadable[source.path] = _why_unreadable(source)

    def features(self, sources: Sequence[ImageSource], views: int, crop: float = MIN_CROP) -> tuple[Tensor, list[int]]:
        """``rows`` on the device: ``(n, v, *shape)``, and the positions of the readable images in ``sources``."""
        rows, readable = self.rows(sources, views, crop)
        return torch.from_numpy(rows).to(self.extractor.device), readable

    def rows(
        self, sources: Sequence[ImageSource], views: int, crop: float = MIN_CROP
    ) -> tuple[NDArray[Any], list[int]]:
        """Rows ``(n, v, *shape)`` of the readable images as they are stored, and their positions in ``sources``.

        Raises:
            DataError: no image is readable.
            StorageError, BackboneError: as for ``ensure``; or features are removed from the cache meanwhile.
        """
        for view in range(views):
            self.ensure(sources, view, crop=crop)
        readable = [i for i, source in enumerate(sources) if self._is_readable(source)]
        if not readable:
            raise DataError("no image of the part could be decoded", "run `harness data check` on the data folder")
        digests = [sources[i].sha256 for i in readable]
        shape = self.extractor.shape
        out = np.empty((len(readable), views, math.prod(shape)), self.extractor.dtype)
        for view in range(views):
            if self.store.get(view, digests, crop, out[:, view])[1]:
                raise StorageError("features were removed from the cache while they were read", RETRY_HINT)
        return out.reshape(len(readable), views, *shape), readable

    def _is_readable(self, source: ImageSource) -> bool:
        """Whether an image has a sha256 and was not found damaged."""
        return is_sha256(source.sha256) and source.sha256 not in self._failed

    def add(self, encoded: EncodedImages, view: int, crop: float = MIN_CROP) -> None:
        """Put images that were encoded, here or elsewhere, into the cache as one shard.

        Raises:
            StorageError: the cache cannot be written.
        """
        self._failed |= encoded.failed
        self.store.put(view, encoded.digests, encoded.rows, crop)
        self.encoded += len(encoded.digests)


def _why_unreadable(source: ImageSource) -> str:
    """Why a file without sha256 cannot be read.

    Raises:
        StorageError: it can be read now.
    """
    try:
        read_bytes(source.file, source.path)
    except DataError as error:
        return error.message
    raise changed_error(source)
