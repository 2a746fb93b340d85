"""Shards of the feature cache: safetensors files of image features, named by the sha256 of their content.

The name serves as a checksum. A shard is memory-mapped, so processes share its pages, and closed after each read: an
open mapping holds a file descriptor, and there may be more shards than a process may have open files.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from harness.files import CACHE_HINT, open_regular_file, read_error


def serialize(digests: list[str], features: NDArray[np.float32]) -> tuple[str, bytes]:
    """File name and content of a shard of n images, from hexadecimal sha256 and features ``(n, d)``."""
    raw = np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(-1, 32)
    content = save({"sha256": raw, "feature": np.ascontiguousarray(features, dtype=np.float32)})
    return f"{hashlib.sha256(content).hexdigest()}.safetensors", content


def read_digests(path: Path) -> list[bytes] | None:
    """The sha256 of each image in a shard, after checking the shard's checksum; None if it is damaged or missing.

    This comes before any other read of a shard, so that a flipped bit never changes a feature.

    Raises:
        StorageError: the shard cannot be read, so its state is unknown.
    """
    content = _map_file(path)
    if content is None or hashlib.sha256(content).hexdigest() != path.stem:
        return None
    return [row.tobytes() for row in _read_tensor(content, "sha256", np.uint8)]


def read_features(path: Path) -> NDArray[np.float32] | None:
    """The features ``(n, d)`` of an undamaged shard, None if it is missing. The file stays open while they are in use.

    Raises:
        StorageError: the shard cannot be read.
    """
    content = _map_file(path)
    return None if content is None else _read_tensor(content, "feature", np.float32)


def count_images(path: Path) -> int:
    """The number of images by a shard's header; 0 if it is truncated."""
    try:
        with safe_open(path, framework="np") as shard:
            return int(shard.get_slice("sha256").get_shape()[0])
    except (OSError, SafetensorError):
        return 0


def _map_file(path: Path) -> mmap.mmap | None:
    try:
        with open_regular_file(path) as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):  # ValueError: an empty file cannot be mapped
        return None
    except OSError as error:
        raise read_error(path, error, CACHE_HINT) from None


def _read_tensor(content: mmap.mmap, name: str, dtype: type) -> NDArray[Any]:
    start = 8 + int.from_bytes(content[:8], "little")
    entry = json.loads(content[8:start])[name]
    first, last = entry["data_offsets"]
    flat: NDArray[Any] = np.frombuffer(memoryview(content)[start + first : start + last], dtype)
    shaped: NDArray[Any] = flat.reshape(entry["shape"])
    return shaped
