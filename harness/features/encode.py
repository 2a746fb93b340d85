"""From image files to features: decode in threads, encode in batches on the device, cache as we go."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from harness.backbones.backbone import Backbone
from harness.datasets.images import DECODING, RETRY_HINT, crop_to_middle, decode_image, read_bytes
from harness.datasets.pillow import fixed_pillow_settings
from harness.device import device_name as name_of
from harness.device import is_out_of_memory
from harness.errors import BackboneError, DataError, HarnessError, StorageError, one_line
from harness.features.store import FeatureStore, is_sha256
from harness.features.views import MIN_CROP, augment
from harness.registry.fingerprint import versions
from harness.types.cell import Decoding

SHARD = 4096
"""Images that are written to the cache at once; a killed run loses at most so many."""

CPU_BATCH_PIXELS = 64 * 64 * 64
"""Pixels of a batch on the CPU: 64 images of the miniature, 8 at 224 x 224."""

DECODER_VERSION = "2"
"""Version of how files become pixels; part of the encoder key."""


@dataclass(frozen=True)
class ImageSource:
    """An image to encode.

    Attributes:
        file: where it lies.
        sha256: of its bytes; any other text for a file that cannot be read.
        path: how it is called in messages.
    """

    file: Path
    sha256: str
    path: str


ENCODING_LIBRARIES = ("pillow", "torch", "torchvision", "open_clip_torch")
"""What makes pixels and features; with another version of one of them everything is encoded anew."""


def encoder_key(backbone: Backbone, decoding: Decoding = DECODING) -> tuple[str, str]:
    """The cache key of an encoder of images that are decoded so, and a line that describes it."""
    record, device = backbone.record, backbone.device
    where = "cpu" if device.type == "cpu" else name_of(str(device))  # another GPU rounds in another way
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
    """Serves features from the cache and encodes what is missing.

    Attributes:
        encoded: images that were really encoded by this object.
        unreadable: path -> reason of every image that could not be decoded.
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
        """Encode what the cache does not hold yet; ``progress`` is told how many more images were done.

        Raises:
            StorageError: the cache cannot be written, or an image is not what it was when its digest was taken.
            BackboneError: the encoder fails, or gives numbers that are none.
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
        for source in sources:  # the same damage can have many names: every empty file has the same bytes
            if source.sha256 in self._failed:
                path, reason = self._failed[source.sha256]
                self.unreadable[source.path] = reason.replace(path, source.path)
            elif not is_sha256(source.sha256) and source.path not in self.unreadable:
                self.unreadable[source.path] = _why_unreadable(source)

    def features(self, sources: Sequence[ImageSource], views: int, crop: float = MIN_CROP) -> tuple[Tensor, list[int]]:
        """Features ``(n, v, d)`` of the readable images on the device, and their positions in ``sources``.

        Raises:
            DataError: none is readable.
            StorageError, BackboneError: as ``ensure``; or somebody removes features from the cache just then.
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
        kept = [s[readable] for s in stacks if s is not None] if len(readable) < len(sources) else stacks
        array = kept[0][:, None] if views == 1 else np.stack(kept, axis=1)  # type: ignore[index,arg-type]
        return torch.from_numpy(array).to(self._backbone.device), readable

    def _batches(
        self, sources: Sequence[ImageSource], view: int, crop: float, progress: Callable[[int], None] | None
    ) -> Iterator[tuple[list[str], Tensor]]:
        """(sha256 of the readable images, their features on the CPU) of every batch, in order.

        A batch is decoded and encoded by one thread, and every batch is filled up to the same size: so an image's
        features depend neither on how many threads there are nor on what else was missing in the cache.
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
            raise self._fault("gives NaN or infinity", "check --pretrained and --precision")
        return digests, encoded

    def _pixels(self, data: bytes, source: ImageSource, view: int, crop: float) -> Tensor:
        """What the encoder takes of one image, ``(3, h, w)``.

        Raises:
            DataError: it cannot be decoded.
            StorageError: the machine lacks memory for it now.
        """
        try:
            with fixed_pillow_settings():
                image = crop_to_middle(decode_image(data, source.path, self._decoding))
                return self._backbone.preprocess(augment(image, source.sha256, view, self._size, crop))
        except MemoryError:
            raise StorageError(f"{source.path}: there is not enough memory to resize the image", RETRY_HINT) from None

    def _encode(self, pixels: Tensor) -> Tensor:
        """Unit rows; when memory runs out the batch is halved, and stays halved."""
        while True:
            size = self._batch  # other threads may halve it meanwhile
            try:
                return torch.cat([self._encode_filled(part, size) for part in torch.split(pixels, size)])
            except Exception as error:  # what a configuration builds may fail only at its first image, and in any way
                if not is_out_of_memory(error):
                    hint = "a configuration that fits the weights may still build a model that takes no image"
                    raise self._fault(f"fails: {one_line(error)[:300]}", hint) from error
                if size == 1:
                    raise HarnessError(
                        "a single image does not fit into the device's memory", "use a smaller backbone or --device cpu"
                    ) from None
                self._batch = min(self._batch, size // 2)
            if self._cuda:  # only now: the error held on to the tensors of its frames
                torch.cuda.empty_cache()

    def _fault(self, what: str, hint: str) -> BackboneError:
        record = self._backbone.record
        return BackboneError(f"the image encoder of {record.architecture} {record.pretrained} {what}", hint)

    def _encode_filled(self, pixels: Tensor, size: int) -> Tensor:
        """Unit rows of at most ``size`` images. Matrix products of another shape sum in another order."""
        filler = pixels[:1].expand(size - len(pixels), *pixels.shape[1:])
        return self._backbone.encode_image(torch.cat([pixels, filler]))[: len(pixels)]


def _read_unchanged(source: ImageSource) -> bytes:
    """The bytes of the sha256: features of others would be found under it from then on.

    Raises:
        StorageError: they cannot be had any more.
    """
    try:
        data = read_bytes(source.file, source.path)
    except DataError as error:
        reason = error.message.removeprefix(f"{source.path}: ")
        raise StorageError(f"{source.path} could be read before and cannot now: {reason}", RETRY_HINT) from None
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise _changed_error(source)
    return data


def _why_unreadable(source: ImageSource) -> str:
    """Why a file has no sha256.

    Raises:
        StorageError: it can be read by now.
    """
    try:
        read_bytes(source.file, source.path)
    except DataError as error:
        return error.message
    raise _changed_error(source)


def _changed_error(source: ImageSource) -> StorageError:
    return StorageError(f"{source.path} changed while the run was going on", RETRY_HINT)


@contextmanager
def one_thread_per_operation(device: torch.device) -> Iterator[None]:
    """On the CPU, compute every operation with one thread, and use the cores for several batches or cells instead.

    So sums are taken in the same order for any number of workers and cores. It is also quicker: threads that share
    one small operation wait for each other, badly so on a machine with other work (a linear probe took fifty times as
    long). What numpy, scipy and scikit-learn compute is on the CPU always.
    """
    before = torch.get_num_threads()
    try:
        with threadpool_limits(1, user_api="blas"):
            if device.type == "cpu":
                torch.set_num_threads(1)
            yield
    finally:
        torch.set_num_threads(before)


def _input_size(backbone: Backbone) -> tuple[int, int]:
    """Width and height of what the encoder takes."""
    size = backbone.preprocess_config.get("size", 224)
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return int(width), int(height)
