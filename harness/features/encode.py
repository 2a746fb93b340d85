"""Encode image files as features: decode in threads, encode in batches on the device, write to the cache."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.backbones.backbone import Backbone
from harness.datasets.images import DECODING, RETRY_HINT, crop_to_middle, decode_image, read_bytes
from harness.datasets.pillow import fixed_pillow_settings
from harness.device import device_name as name_of
from harness.device import is_out_of_memory
from harness.errors import BackboneError, DataError, HarnessError, StorageError, one_line
from harness.execution.one_thread import one_thread_per_operation
from harness.features.shard import GIVEN
from harness.features.store import FeatureStore, is_sha256
from harness.features.views import MIN_CROP, augment
from harness.registry.plugin_code import versions
from harness.types.cell import Decoding

SHARD = 4096
"""Images per shard of the cache; a killed run loses at most this many."""

CPU_BATCH_PIXELS = 64 * 64 * 64
"""Pixels per batch on the CPU: 64 images of the miniature, 8 at 224 x 224."""

DECODER_VERSION = "2"
"""Version of the image decoding; part of the encoder key."""


@dataclass(frozen=True)
class ImageSource:
    """An image to encode.

    Attributes:
        file: path of the file.
        sha256: of its bytes; any other text for an unreadable file.
        path: its name in messages.
    """

    file: Path
    sha256: str
    path: str


ENCODING_LIBRARIES = ("pillow", "torch", "torchvision", "open_clip_torch")
"""Libraries that determine pixels and features; their versions are part of the encoder key."""


def encoder_key(backbone: Backbone, decoding: Decoding = DECODING) -> tuple[str, str]:
    """The cache key of an encoder with this image decoding, and a one-line description."""
    record, device = backbone.record, backbone.device
    if record.images != "encoded":
        return GIVEN
    where = "cpu" if device.type == "cpu" else name_of(str(device))  # GPU models round differently
    identity = {
        "weights": record.weights_sha256,
        "config": record.config,
        "precision": record.precision,
        "preprocessing": backbone.preprocess_config,
        "decoding": f"{decoding}/{DECODER_VERSION}",
        "unit rows": backbone.unit_rows,
        "device": where,
        "versions": versions((*ENCODING_LIBRARIES, *backbone.libraries)),
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:32]
    images = "" if decoding == DECODING else f", {decoding} decoding"
    raw = "" if backbone.unit_rows else ", raw features"
    return key, f"{record.architecture} {record.pretrained} {record.precision} on {where}{images}{raw}"


class Encoder:
    """Returns features from the cache and encodes missing ones.

    Attributes:
        encoded: number of images encoded by this object.
        unreadable: path -> reason, for every image that cannot be decoded.
    """

    def __init__(
        self, backbone: Backbone, store: FeatureStore, workers: int = 2, decoding: Decoding = DECODING
    ) -> None:
        self._backbone = backbone
        self._decoding = decoding
        self._store = store
        self._workers = max(1, workers)
        self._cuda = backbone.device.type == "cuda"
        self._size = _input_size(backbone)
        self._batch = 256 if self._cuda else max(8, CPU_BATCH_PIXELS // math.prod(self._size))
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
        unique = list({source.sha256: source for source in sources}.values())
        _, missing = self._store.get(view, [source.sha256 for source in unique], crop)
        todo = [unique[i] for i in missing if is_sha256(unique[i].sha256) and unique[i].sha256 not in self._failed]
        if todo:
            self._store.prepare()
        for start in range(0, len(todo), SHARD):
            digests: list[str] = []
            rows: list[Tensor] = []
            for batch, encoded in self._batches(todo[start : start + SHARD], view, crop, progress):
                digests += batch
                rows.append(encoded)
            if digests:
                self._store.put(view, digests, torch.cat(rows).numpy(), crop)
                self.encoded += len(digests)
        for source in sources:  # several files can share damaged bytes: all empty files do
            if source.sha256 in self._failed:
                path, reason = self._failed[source.sha256]
                self.unreadable[source.path] = reason.replace(path, source.path)
            elif not is_sha256(source.sha256) and source.path not in self.unreadable:
                self.unreadable[source.path] = _why_unreadable(source)

    def features(self, sources: Sequence[ImageSource], views: int, crop: float = MIN_CROP) -> tuple[Tensor, list[int]]:
        """Features ``(n, v, d)`` of the readable images on the device, and their positions in ``sources``.

        Raises:
            DataError: no image is readable.
            StorageError, BackboneError: as for ``ensure``; or features are removed from the cache meanwhile.
        """
        stacks, readable = [], list(range(len(sources)))
        for view in range(views):
            self.ensure(sources, view, crop=crop)
            found, missing = self._store.get(view, [source.sha256 for source in sources], crop)
            gone = set(missing)
            if any(is_sha256(sources[i].sha256) and sources[i].sha256 not in self._failed for i in gone):
                raise StorageError("features were removed from the cache while they were read", RETRY_HINT)
            readable = [i for i in readable if i not in gone]
            stacks.append(found)
        if not readable or any(s is None for s in stacks):
            raise DataError("no image of the part could be decoded", "run `harness data check` on the data folder")
        rows = [s[readable] for s in stacks if s is not None] if len(readable) < len(sources) else stacks
        array = rows[0][:, None] if views == 1 else np.stack(rows, axis=1)  # type: ignore[index,arg-type]
        return torch.from_numpy(array).to(self._backbone.device), readable

    def _batches(
        self, sources: Sequence[ImageSource], view: int, crop: float, progress: Callable[[int], None] | None
    ) -> Iterator[tuple[list[str], Tensor]]:
        """Yield (sha256 of the readable images, their features on the CPU) for every batch, in order.

        One thread decodes and encodes a batch, and every batch is padded to the same size, so features depend neither
        on the number of threads nor on which other images are missing from the cache.
        """
        batches = [sources[start : start + self._batch] for start in range(0, len(sources), self._batch)]
        with one_thread_per_operation(self._backbone.device), ThreadPoolExecutor(self._workers) as pool:
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
                image = crop_to_middle(decode_image(data, source.path, self._decoding))
                return self._backbone.preprocess(augment(image, source.sha256, view, self._size, crop))
        except MemoryError:
            raise StorageError(f"{source.path}: there is not enough memory to resize the image", RETRY_HINT) from None

    def _encode(self, pixels: Tensor) -> Tensor:
        """Features of a batch; the batch size is halved permanently when memory runs out."""
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
        record = self._backbone.record
        return BackboneError(f"the image encoder of {record.architecture} {record.pretrained} {what}", hint)

    def _encode_filled(self, pixels: Tensor, size: int) -> Tensor:
        """Features of at most ``size`` images, padded to ``size``: other shapes change the order of sums."""
        filler = pixels[:1].expand(size - len(pixels), *pixels.shape[1:])
        return self._backbone.encode_image(torch.cat([pixels, filler]))[: len(pixels)]


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


def _input_size(backbone: Backbone) -> tuple[int, int]:
    """Width and height of what the encoder takes."""
    size = backbone.preprocess_config.get("size", 224)
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return int(width), int(height)
