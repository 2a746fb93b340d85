"""Encode image files as rows: decode and encode in batches, with the same bits for any division of the images."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save
from torch import Tensor

from harness.datasets.image_bytes import RETRY_HINT, read_bytes
from harness.datasets.images import crop_to_middle, decode_image
from harness.datasets.pillow import fixed_pillow_settings
from harness.device import is_out_of_memory
from harness.errors import BackboneError, DataError, HarnessError, StorageError, one_line
from harness.execution.one_thread import one_thread_per_operation
from harness.feature_cache.extractor import Extractor
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


@dataclass(frozen=True)
class EncodedImages:
    """Images that were encoded.

    Attributes:
        digests: sha256 of the n images that can be decoded, in the order of their sources.
        rows: their rows ``(n, *shape)``.
        failed: sha256 -> path and reason, of the others.
    """

    digests: list[str]
    rows: NDArray[Any]
    failed: Mapping[str, tuple[str, str]]

    def to_bytes(self) -> bytes:
        """A form in which a process or machine sends them to another."""
        about = {"digests": json.dumps(self.digests), "failed": json.dumps(dict(self.failed))}
        return save({"rows": np.ascontiguousarray(self.rows)}, metadata=about)

    @classmethod
    def from_bytes(cls, content: bytes) -> EncodedImages:
        """The images of ``to_bytes``."""
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        failed = {sha256: (path, reason) for sha256, (path, reason) in json.loads(header["failed"]).items()}
        return cls(json.loads(header["digests"]), load(content)["rows"], failed)


class ImageEncoder:
    """Encodes images with one extractor; keeps and caches nothing.

    Rows have the same bits however images are divided among calls, threads, processes and machines: a batch is decoded
    and encoded by one thread, every operation runs in one thread, and every batch is padded to the same size. Only a
    batch that was halved because memory ran out may be rounded otherwise.

    Args:
        extractor: of the rows.
        workers: threads.
    """

    def __init__(self, extractor: Extractor, workers: int = 1) -> None:
        self.extractor = extractor
        self._workers = max(1, workers)
        self._cuda = extractor.device.type == "cuda"
        self._batch = 256 if self._cuda else max(8, CPU_BATCH_PIXELS // math.prod(extractor.size))
        self._device_lock = threading.Lock()

    def encode(
        self,
        sources: Sequence[ImageSource],
        view: int = 0,
        crop: float = MIN_CROP,
        progress: Callable[[int], None] | None = None,
    ) -> EncodedImages:
        """Encode one view of images with different bytes; ``progress`` is called with newly processed images.

        Raises:
            StorageError: an image has changed since it was hashed, or memory or file descriptors are short.
            BackboneError: the encoder fails, or returns NaN or infinity.
        """
        digests: list[str] = []
        failed: dict[str, tuple[str, str]] = {}
        rows = np.empty((len(sources), *self.extractor.shape), self.extractor.dtype)
        for readable, encoded in self._batches(sources, view, crop, failed, progress):
            if encoded is not None:
                rows[len(digests) : len(digests) + len(readable)] = encoded.numpy()
            digests += readable
        return EncodedImages(digests, rows[: len(digests)], failed)

    def _batches(
        self,
        sources: Sequence[ImageSource],
        view: int,
        crop: float,
        failed: dict[str, tuple[str, str]],
        progress: Callable[[int], None] | None,
    ) -> Iterator[tuple[list[str], Tensor | None]]:
        """Yield (sha256 of the readable images, their rows on the CPU) for every batch, in order."""
        batches = [sources[start : start + self._batch] for start in range(0, len(sources), self._batch)]
        with (
            one_thread_per_operation(self.extractor.device),
            fixed_pillow_settings(),
            ThreadPoolExecutor(self._workers) as pool,
        ):
            try:
                done = pool.map(lambda batch: self._one_batch(batch, view, crop, failed), batches)
                for batch, result in zip(batches, done, strict=True):
                    if progress is not None:
                        progress(len(batch))
                    yield result
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _one_batch(
        self, sources: Sequence[ImageSource], view: int, crop: float, failed: dict[str, tuple[str, str]]
    ) -> tuple[list[str], Tensor | None]:
        digests, images = [], []
        for source in sources:
            try:
                images.append(self.read(source, view, crop))
            except DataError as error:
                failed[source.sha256] = source.path, error.message
                continue
            digests.append(source.sha256)
        if not digests:
            return digests, None
        batch = np.empty((len(images), *images[0].shape), np.uint8)  # in this order: encoders sum as memory is laid out
        with self._device_lock if self._cuda else nullcontext():
            encoded = self._encode(torch.from_numpy(np.stack(images, out=batch))).cpu()
        if not torch.isfinite(encoded).all():
            raise self._fault("returns NaN or infinity", "check --pretrained and --precision")
        return digests, encoded

    def read(self, source: ImageSource, view: int = 0, crop: float = MIN_CROP) -> NDArray[np.uint8]:
        """The preprocessed image ``(3, h, w)`` of a file.

        Raises:
            DataError: the image cannot be decoded.
            StorageError: it has changed since it was hashed, or memory or file descriptors are short.
        """
        data = _read_unchanged(source)
        try:
            image = crop_to_middle(decode_image(data, source.path, self.extractor.decoding))
            return self.extractor.preprocess(augment(image, source.sha256, view, self.extractor.size, crop))
        except MemoryError:
            raise StorageError(f"{source.path}: there is not enough memory to resize the image", RETRY_HINT) from None

    def _encode(self, images: Tensor) -> Tensor:
        """Rows of a batch; the batch size is halved permanently when memory runs out."""
        while True:
            size = self._batch  # other threads may halve it meanwhile
            try:
                return torch.cat([self._encode_filled(part, size) for part in torch.split(images, size)])
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

    def _encode_filled(self, images: Tensor, size: int) -> Tensor:
        """Rows of at most ``size`` images, padded to ``size``: other shapes change the order of sums."""
        if len(images) == size:
            return self.extractor.encode(images)
        filler = images[:1].expand(size - len(images), *images.shape[1:])
        return self.extractor.encode(torch.cat([images, filler]))[: len(images)]


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
        raise changed_error(source)
    return data


def changed_error(source: ImageSource) -> StorageError:
    """The error for an image that is another one than when its folder was read."""
    return StorageError(f"{source.path} changed during the run", RETRY_HINT)
