"""The cache folder as a whole: its extractors are listed, checked and removed, and its size is bounded.

Every extractor has a folder, whatever the kind of its rows: features, preprojection, patch tokens or pixels.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StorageError, UserError, os_reason, unknown_name
from harness.feature_cache import shard
from harness.files import CACHE_HINT, list_paths, read_error, read_file

DEFAULT_LIMIT_BYTES = 20 * 2**30
"""Size limit of the cache in bytes, unless HARNESS_CACHE_LIMIT is set."""

DESCRIPTION_FILE = "encoder.txt"
"""File in an encoder's folder with its description."""

_UNITS = {"": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("KMGT", start=1)
    for ending, base in (("", 1024), ("IB", 1024), ("B", 1000))
}


@dataclass(frozen=True)
class CachedEncoder:
    """One extractor in the cache: key, description, images (all views), bytes and time of last use (s)."""

    key: str
    description: str
    images: int
    bytes: int
    used: float


def size_limit() -> int:
    """Size limit of the cache in bytes: HARNESS_CACHE_LIMIT, such as 500000000, 20GB or 1.5 TiB, else the default.

    Raises:
        UserError: the variable is not a size.
    """
    text = os.environ.get("HARNESS_CACHE_LIMIT", "").strip()
    if not text:
        return DEFAULT_LIMIT_BYTES
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?(?:I?B)?)", text.upper())
    unit = found[2] if found else ""
    if found is None or (unit not in _UNITS and unit != "B"):
        raise UserError(f"HARNESS_CACHE_LIMIT is {text!r}, which is not a size", "give bytes, or for example 20GB")
    return int(float(found[1]) * _UNITS.get(unit, 1)) if "." in found[1] else int(found[1]) * _UNITS.get(unit, 1)


def list_encoders(root: Path) -> list[CachedEncoder]:
    """The encoders in the cache, most recently used first.

    Only headers of shards are read; damaged shards count, and ``verify`` finds them.

    Raises:
        StorageError: a folder cannot be read.
    """
    found = []
    for folder in list_paths(root, "*", CACHE_HINT):
        described, shards = (
            list_paths(folder, DESCRIPTION_FILE, CACHE_HINT),
            list_paths(folder, "view-*/*.safetensors", CACHE_HINT),
        )
        if not (described or shards):
            continue
        try:
            description = read_file(described[0]).decode(errors="replace").strip() if described else "unknown encoder"
            images, size = sum(map(shard.count_images, shards)), sum(path.stat().st_size for path in shards)
            found.append(CachedEncoder(folder.name, description, images, size, folder.stat().st_mtime))
        except OSError as error:
            raise read_error(folder, error, CACHE_HINT) from None
    return sorted(found, key=lambda e: -e.used)


def verify(root: Path) -> tuple[int, list[Path], list[Path]]:
    """Check every shard; returns their number, the damaged ones, and undamaged ones that this user did not write.

    Raises:
        StorageError: a folder or a shard cannot be read.
    """
    paths = list_paths(root, "*/view-*/*.safetensors", CACHE_HINT)
    damaged = [path for path in paths if shard.check(path, shard.RowRule()) is None]
    return len(paths), damaged, [path for path in paths if path not in damaged and not shard.is_own(path)]


def clear(root: Path, key: str | None = None) -> list[CachedEncoder]:
    """Remove the rows of one extractor (key or key prefix), or of all; returns what is removed.

    Raises:
        UserError: no encoder has this key.
        StorageError: a folder cannot be removed.
    """
    found = list_encoders(root)
    chosen = [e for e in found if key is None or (key and e.key.startswith(key))]
    if key is not None and not chosen:
        raise unknown_name("encoder", key, (e.key[:12] for e in found))
    for entry in chosen:
        try:
            shutil.rmtree(root / entry.key)
        except OSError as error:
            raise StorageError(
                f"{root / entry.key} cannot be removed: {os_reason(error)}", "check its permissions"
            ) from None
    return chosen


def shard_bytes(folder: Path) -> int:
    """Bytes of the shards in an extractor's folder.

    Raises:
        OSError: another process is removing it.
    """
    return sum(path.stat().st_size for path in folder.glob("view-*/*.safetensors"))


def enforce_limit(root: Path, limit: int, keep: str) -> int:
    """Remove the least recently used encoders, never ``keep``, until the cache fits; returns the bytes freed."""
    held: list[tuple[float, int, Path]] = []
    for folder in root.iterdir() if root.is_dir() else ():
        try:  # another process may be removing it now
            held.append((folder.stat().st_mtime, shard_bytes(folder), folder))
        except OSError:
            continue
    total, freed = sum(size for _, size, _ in held), 0
    for _, size, folder in sorted(held):
        if total - freed <= limit:
            break
        if size and folder.name != keep:
            shutil.rmtree(folder, ignore_errors=True)
            freed += size
    return freed
