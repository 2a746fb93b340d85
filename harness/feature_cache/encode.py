"""Encode image files as rows, such as features: decode in threads, encode in batches, write to the cache."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.datasets.image_bytes import RETRY_HINT, read_bytes
from harness.datasets.images import crop_to_middle, decode_image
from harness.datasets.pillow import fixed_pillow_settings
from harness.device import is_out_of_memory
from harness.errors import BackboneError, DataError, HarnessError, StorageError, one_line
from harness.execution.one_thread import one_thread_per_operation
from harness.feature_cache.extractor import Extractor
from harness.feature_cache.store import FeatureStore, is_sha256
from harness.feature_cache.views import MIN_CROP, augment

CPU_BATCH_PIXELS = 64 * 64 * 64
"""Pixels per batch on the CPU: 64 images of the miniature, 8 at 224 x 224."""


@dataclass(frozen=True)
class ImageSource:
    """An image to encode.

    Attributes:
        file: path of the file.
        sha256: of its bytes; any other text for an unreadable file.
        path: its name in messages.
    """

    file: str | Path
    sha256: str
    path: str


class Encoder:
    """Returns rows of one kind from the cache and encodes missing ones.

    Attributes:
        extractor: of the rows.
        store: its cached rows.
        encoded: number of images encoded by this object.
        unreadable: path -> reason, for every image that cannot be decoded.
    """

    def __init__(self, extractor: Extractor, store: FeatureStore, workers: int = 2) -> None:
        self.extractor = extractor
        self.store = store
        self._workers = max(1, workers)
        self._cuda = extractor.device.type == "cuda"
        self._batch = 256 if self._cuda else max(8, CPU_BATCH_PIXELS // math.prod(extractor.size))
        self._device_lock = threading.Lock()
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
            self._encode_shard(todo[start : start + step], view, crop, progress)
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

    def _encode_shard(
        self, sources: Sequence[ImageSource], view: int, crop: float, progress: Callable[[int], None] | None
    ) -> None:
        """Encode images and put those that can be decoded into the cache as one shard."""
        digests: list[str] = []
        rows = np.empty((len(sources), *self.extractor.shape), self.extractor.dtype)
        for batch, encoded in self._batches(sources, view, crop, progress):
            rows[len(digests) : len(digests) + len(batch)] = encoded.numpy()
            digests += batch
        if digests:
            self.store.put(view, digests, rows[: len(digests)], crop)
            self.encoded += len(digests)

    def _batches(
        self, sources: Sequence[ImageSource], view: int, crop: float, progress: Callable[[int], None] | None
    ) -> Iterator[tuple[list[str], Tensor]]:
        """Yield (sha256 of the readable images, their rows on the CPU) for every batch, in order.

        One thread decodes and encodes a batch, and every batch is padded to the same size, so rows depend neither
        on the number of threads nor on which other images are missing from the cache.
        """
        batches = [sources[start : start + self._batch] for start in range(0, len(sources), self._batch)]
        with one_thread_per_operation(self.extractor.device), ThreadPoolExecutor(self._workers) as pool:
            try:
                for batch, result in zip(
                    batches, pool.map(lambda b: self._one_batch(b, view, crop), batches), strict=True
                ):
                    if progress is not None:
                        progress(len(batch))
                    if result is not None:
                        yield result
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _one_batch(self, sources: Sequence[ImageSource], view: int, crop: float) -> tuple[list[str], Tensor] | None:
        digests, pixels = [], []
        for source in sources:
            data = _read_unchanged(source)
            try:
                pixels.append(self._pixels(data, source, view, crop))
            except DataError as error:
                self._failed[source.sha256] = source.path, error.message
                continue
            digests.append(source.sha256)
        if not digests:
            return None
        with self._device_lock if self._cuda else nullcontext():
            encoded = self._encode(torch.stack(pixels)).cpu()
        if not torch.isfinite(encoded).all():
            raise self._fault("returns NaN or infinity", "check --pretrained and --precision")
        return digests, encoded

    def _pixels(self, data: bytes, source: ImageSource, view: int, crop: float) -> Tensor:
        """The preprocessed image ``(3, h, w)``.

        Raises:
            DataError: the image cannot be decoded.
            StorageError: there is not enough memory at the moment.
        """
        try:
            with fixed_pillow_settings():
                image = crop_to_middle(decode_image(data, source.path, self.extractor.decoding))
                return self.extractor.preprocess(augment(image, source.sha256, view, self.extractor.size, crop))
        except MemoryError:
            raise StorageError(f"{source.path}: there is not enough memory to resize the image", RETRY_HINT) from None

    def _encode(self, pixels: Tensor) -> Tensor:
        """Rows of a batch; the batch size is halved permanently when memory runs out."""
        while True:
            size = self._batch  # other threads may halve it meanwhile
            try:
                return torch.cat([self._encode_filled(part, size) for part in torch.split(pixels, size)])
            except Exception as error:  # a faulty configuration may fail only at the first image, with any error
                if not is_out_of_memory(error):
                    hint = "a configuration can fit the weights and still build a model that accepts no images"
                    raise self._fault(f"fails: {one_line(error)[:300]}", hint) from error
                if size == 1:
                    raise HarnessError(
                        "a single image does not fit into the device's memory", "use a smaller backbone or --device cpu"
                    ) from None
                self._batch = min(self._batch, size // 2)
            if self._cuda:  # only here: the error held references to tensors
                torch.cuda.empty_cache()

    def _fault(self, what: str, hint: str) -> BackboneError:
        return BackboneError(f"{self.extractor.source} {what}", hint)

    def _encode_filled(self, pixels: Tensor, size: int) -> Tensor:
        """Rows of at most ``size`` images, padded to ``size``: other shapes change the order of sums."""
        filler = pixels[:1].expand(size - len(pixels), *pixels.shape[1:])
        return self.extractor.encode(torch.cat([pixels, filler]))[: len(pixels)]


def _read_unchanged(source: ImageSource) -> bytes:
    """Read a file and check its sha256, so that features are never cached under the key of other bytes.

    Raises:
        StorageError: the file has changed or cannot be read any more.
    """
    try:
        data = read_bytes(source.file, source.path)
    except DataError as error:
        reason = error.message.removeprefix(f"{source.path}: ")
        raise StorageError(f"{source.path} could be read before but not now: {reason}", RETRY_HINT) from None
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise _changed_error(source)
    return data


def _why_unreadable(source: ImageSource) -> str:
    """Why a file without sha256 cannot be read.

    Raises:
        StorageError: it can be read now.
    """
    try:
        read_bytes(source.file, source.path)
    except DataError as error:
        return error.message
    raise _changed_error(source)


def _changed_error(source: ImageSource) -> StorageError:
    return StorageError(f"{source.path} changed during the run", RETRY_HINT)
