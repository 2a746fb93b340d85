"""Shards of the feature cache: safetensors files of image features, named by the sha256 of their content.

The name serves as a checksum. A shard is memory-mapped, so processes share its pages, and closed after each read: an
open mapping holds a file descriptor, and there may be more shards than a process may have open files.
"""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from harness.errors import DataError
from harness.files import CACHE_HINT, open_regular_file, read_error
from harness.parsing import parse_json, parsing

MAX_HEADER = 1 << 16
"""Bytes of a shard's header, which has two entries."""

_DTYPES: dict[str, Any] = {"U8": np.uint8, "F32": np.float32}


def serialize(digests: list[str], features: NDArray[np.float32]) -> tuple[str, bytes]:
    """File name and content of a shard of n images, from hexadecimal sha256 and features ``(n, d)``."""
    raw = np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(-1, 32)
    content = save({"sha256": raw, "feature": np.ascontiguousarray(features, dtype=np.float32)})
    return f"{hashlib.sha256(content).hexdigest()}.safetensors", content


def read_digests(path: Path) -> list[bytes] | None:
    """The sha256 of each image in a shard, after checking the shard; None if it is damaged or missing.

    This comes before any other read of a shard, so that a flipped bit never changes a feature. Content that is no
    shard is damaged too, even under a name that fits.

    Raises:
        StorageError: the shard cannot be read, so its state is unknown.
    """
    content = _map_file(path)
    if content is None or hashlib.sha256(content).hexdigest() != path.stem:
        return None
    shard = _parse(content)
    return None if shard is None else [row.tobytes() for row in shard.sha256]


def read_features(path: Path) -> NDArray[np.float32] | None:
    """The features ``(n, d)`` of a shard, None if it is damaged or missing. The file stays open while they are in use.

    Raises:
        StorageError: the shard cannot be read.
    """
    content = _map_file(path)
    shard = None if content is None else _parse(content)
    return None if shard is None else shard.feature


def count_images(path: Path) -> int:
    """The number of images by a shard's header; 0 if it is damaged or missing.

    Raises:
        StorageError: the shard cannot be read.
    """
    content = _map_file(path)
    shard = None if content is None else _parse(content)
    return 0 if shard is None else len(shard.sha256)


class _Shard(NamedTuple):
    sha256: NDArray[np.uint8]  # (n, 32)
    feature: NDArray[np.float32]  # (n, d)


def _map_file(path: Path) -> mmap.mmap | None:
    try:
        with open_regular_file(path) as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):  # ValueError: an empty file cannot be mapped
        return None
    except OSError as error:
        raise read_error(path, error, CACHE_HINT) from None


def _parse(content: mmap.mmap) -> _Shard | None:
    try:
        with parsing("the shard is damaged"):
            start = 8 + int.from_bytes(content[:8], "little")
            header = parse_json(content[8 : min(start, MAX_HEADER)], "its header is damaged")
            arrays = {name: _tensor(memoryview(content)[start:], header[name]) for name in ("sha256", "feature")}
            found = _Shard(**arrays)
    except DataError:
        return None
    shapes_fit = found.feature.ndim == 2 and found.sha256.shape == (len(found.feature), 32)
    types_fit = found.sha256.dtype == np.uint8 and found.feature.dtype == np.float32
    return found if shapes_fit and types_fit else None


def _tensor(data: memoryview, entry: dict[str, Any]) -> NDArray[Any]:
    first, last = entry["data_offsets"]
    flat: NDArray[Any] = np.frombuffer(data[first:last], _DTYPES[entry["dtype"]])
    shape = tuple(entry["shape"])
    if min(shape, default=0) < 0:
        raise ValueError("a side is negative")
    return flat.reshape(shape)
