"""From image files to features: decode in threads, encode in batches on the device, cache as we go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.backbones.backbone import Backbone
from harness.datasets.images import load_image
from harness.errors import DataError, HarnessError
from harness.features.store import FeatureStore
from harness.features.views import augment

BATCH = 256
SHARD = 4096
DECODING = "rgb-exif-white/1"
"""Version of how files become pixels; part of the encoder key."""


@dataclass(frozen=True)
class Source:
    """An image to encode: its file, the sha256 of its bytes, and how it is called in messages."""

    file: Path
    sha256: str
    path: str


def encoder_key(backbone: Backbone) -> tuple[str, str]:
    """The cache key of an encoder, and a line that describes it."""
    record = backbone.record
    identity = {
        "weights": record.weights_sha256,
        "architecture": record.architecture,
        "precision": record.precision,
        "preprocessing": backbone.preprocess_config,
        "decoding": DECODING,
        "device": backbone.device.type,
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:32]
    return key, f"{record.architecture} {record.pretrained} {record.precision} on {backbone.device.type}"


class Encoder:
    """Serves features from the cache and encodes what is missing.

    Attributes:
        encoded: images that were really encoded by this object.
        unreadable: path -> reason of every image that could not be decoded.
    """

    def __init__(self, backbone: Backbone, store: FeatureStore, workers: int = 2) -> None:
        self._backbone = backbone
        self._store = store
        self._workers = max(1, workers)
        self._batch = BATCH
        self.encoded = 0
        self.unreadable: dict[str, str] = {}

    def ensure(self, sources: Sequence[Source], view: int, progress: Callable[[int], None] | None = None) -> None:
        """Encode what the cache does not hold yet; ``progress`` is told how many images were done.

        Raises:
            StorageError: the cache cannot be written.
        """
        unique = list({source.sha256: source for source in sources}.values())
        _, missing = self._store.get(view, [source.sha256 for source in unique])
        todo = [unique[i] for i in missing if unique[i].path not in self.unreadable]
        for start in range(0, len(todo), SHARD):
            digests: list[str] = []
            rows: list[Tensor] = []
            for batch, done in self._decoded(todo[start : start + SHARD], view):
                if batch:
                    digests += [digest for digest, _ in batch]
                    rows.append(self._encode(torch.stack([pixels for _, pixels in batch])))
                if progress is not None:
                    progress(done)
            if rows:
                self._store.put(view, digests, torch.cat(rows).cpu().numpy())
                self.encoded += len(digests)

    def features(self, sources: Sequence[Source], views: int) -> tuple[Tensor, list[int]]:
        """Features ``(n, v, d)`` of the readable images on the device, and their positions in ``sources``."""
        stacks, readable = [], list(range(len(sources)))
        for view in range(views):
            self.ensure(sources, view)
            found, missing = self._store.get(view, [source.sha256 for source in sources])
            gone = set(missing)
            readable = [i for i in readable if i not in gone]
            stacks.append(found)
        if not readable or any(s is None for s in stacks):
            raise DataError("no image of the part could be decoded", "run `harness data check` on the data folder")
        kept = [s[readable] for s in stacks if s is not None] if len(readable) < len(sources) else stacks
        array = kept[0][:, None] if views == 1 else np.stack(kept, axis=1)  # type: ignore[index,arg-type]
        return torch.from_numpy(array).to(self._backbone.device), readable

    def _decoded(self, sources: Sequence[Source], view: int) -> Iterator[tuple[list[tuple[str, Tensor]], int]]:
        """Batches of (sha256, pixels), with the number of files that each batch took."""

        def decode(source: Source) -> Tensor | DataError:
            try:
                return self._backbone.preprocess(augment(load_image(source.file), source.sha256, view))
            except DataError as error:
                return error

        with ThreadPoolExecutor(self._workers) as pool:
            # One batch is decoded ahead while the device works on the one before.
            starts = list(range(0, len(sources), BATCH))
            ahead = [[pool.submit(decode, s) for s in sources[starts[0] : starts[0] + BATCH]]] if starts else []
            for n, start in enumerate(starts):
                if n + 1 < len(starts):
                    following = starts[n + 1]
                    ahead.append([pool.submit(decode, s) for s in sources[following : following + BATCH]])
                batch = []
                chunk = sources[start : start + BATCH]
                for source, future in zip(chunk, ahead.pop(0), strict=True):
                    pixels = future.result()
                    if isinstance(pixels, DataError):
                        self.unreadable[source.path] = pixels.message
                    else:
                        batch.append((source.sha256, pixels))
                yield batch, len(chunk)

    def _encode(self, pixels: Tensor) -> Tensor:
        """Unit rows; when memory runs out the batch is halved, and stays halved."""
        while True:
            try:
                parts = [self._backbone.encode_image(part) for part in pixels.split(self._batch)]
                return torch.cat(parts)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                if self._batch == 1:
                    raise HarnessError(
                        "a single image does not fit into the device's memory", "use a smaller backbone or --device cpu"
                    ) from None
                self._batch //= 2
                if self._backbone.device.type == "cuda":
                    torch.cuda.empty_cache()


def _out_of_memory(error: BaseException) -> bool:
    # On the CPU torch reports it as a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
