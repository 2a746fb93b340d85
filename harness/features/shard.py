"""A shard of the feature cache: a safetensors file of the features of some images, named by the sha256 of its content.

The name tells whether it is whole. It is read from pages that all processes share, and let go at once: a mapping holds
a file descriptor, and there may be more shards than a process may have open files.
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
    """The name and content of a shard of n images: sha256 in hexadecimal, features ``(n, d)``."""
    raw = np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(-1, 32)
    content = save({"sha256": raw, "feature": np.ascontiguousarray(features, dtype=np.float32)})
    return f"{hashlib.sha256(content).hexdigest()}.safetensors", content


def read_digests(path: Path) -> list[bytes] | None:
    """The sha256 of the shard's images, row by row, if its content is that of its name; None if it is damaged or gone.

    A flipped bit must not become a number: nothing else is asked of a shard before this.

    Raises:
        StorageError: it cannot be read, which says nothing about it.
    """
    content = _map_file(path)
    if content is None or hashlib.sha256(content).hexdigest() != path.stem:
        return None
    return [row.tobytes() for row in _read_tensor(content, "sha256", np.uint8)]


def read_features(path: Path) -> NDArray[np.float32] | None:
    """The features ``(n, d)`` of a shard that is whole, or None if it is gone. The file is open while they are in use.

    Raises:
        StorageError: it cannot be read.
    """
    content = _map_file(path)
    return None if content is None else _read_tensor(content, "feature", np.float32)


def count_images(path: Path) -> int:
    """How many images a shard says it holds; none if it is cut off."""
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
    about = json.loads(content[8:start])[name]
    first, last = about["data_offsets"]
    flat: NDArray[Any] = np.frombuffer(memoryview(content)[start + first : start + last], dtype)
    shaped: NDArray[Any] = flat.reshape(about["shape"])
    return shaped
