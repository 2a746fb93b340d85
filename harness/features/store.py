"""The feature cache: content-addressed shards of encoded images.

The key of a feature has three parts: the encoder key (weights, preprocessing, precision), the view (its number and the
minimum crop area), and the sha256 of the image's bytes; paths and times do not matter. Shards (``shard``) are written
atomically and do not stay open; only the row number of each image is in memory. The cache has a size limit: the least
recently used encoders are removed first.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import StorageError, UserError, os_reason, unknown_name
from harness.features import shard
from harness.features.views import MIN_CROP, view_name
from harness.files import CACHE_HINT, OTHER_CACHE_HINT, list_paths, read_error, read_file, require_writable, save

DEFAULT_LIMIT_BYTES = 20 * 2**30
"""Size limit of the cache in bytes, unless HARNESS_CACHE_LIMIT is set."""

GIVEN = hashlib.sha256(b"given features").hexdigest()[:32], "given features"
"""Key and description of features that a caller gave: the sha256 is that of the row itself."""

DESCRIPTION_FILE = "encoder.txt"
"""File in an encoder's folder with its description."""

_UNITS = {"": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("KMGT", start=1)
    for ending, base in (("", 1024), ("IB", 1024), ("B", 1000))
}


@dataclass(frozen=True)
class CachedEncoder:
    """One encoder in the cache: key, description, images, bytes and time of last use (s)."""

    key: str
    description: str
    images: int
    bytes: int
    used: float


class _Row(NamedTuple):
    """Location of an image's features: shard and row."""

    shard: Path
    number: int


class FeatureStore:
    """Features of one encoder in the cache folder.

    Args:
        root: the folder of all encoders.
        key: the encoder key.
        description: a one-line description of the encoder.
        limit: size limit of ``root`` in bytes; None means ``size_limit()``. Only other encoders are removed.
    """

    def __init__(self, root: Path, key: str, description: str, limit: int | None = None) -> None:
        self.folder = root / key
        self._description = description
        self._limit = size_limit() if limit is None else limit
        self._index: dict[str, dict[bytes, _Row]] = {}

    def get(
        self, view: int, digests: list[str], crop: float = MIN_CROP
    ) -> tuple[NDArray[np.float32] | None, list[int]]:
        """Look up the features of images.

        Returns:
            The features ``(n, d)`` (zero for missing images; None if all are missing), and the positions of the missing
            images. An entry that is not a sha256, as of an unreadable file, is missing.

        Raises:
            StorageError: the cache cannot be read.
        """
        name = view_name(view, crop)
        index = self._open(name)
        wanted: dict[Path, list[tuple[int, int]]] = {}  # shard -> (position here, row there)
        for i, digest in enumerate(digests):
            if is_sha256(digest) and (row := index.get(bytes.fromhex(digest))):
                wanted.setdefault(row.shard, []).append((i, row.number))
        out: NDArray[np.float32] | None = None
        missing = np.ones(len(digests), dtype=bool)
        for path, pairs in wanted.items():
            features = shard.read_features(path)
            if features is None:  # removed since it was listed
                self._index[name] = {d: row for d, row in self._index[name].items() if row.shard != path}
                continue
            positions, numbers = np.array(pairs).T
            if out is None:
                out = np.zeros((len(digests), features.shape[1]), dtype=np.float32)
            out[positions] = features[numbers]
            missing[positions] = False
        return out, np.flatnonzero(missing).tolist()

    def prepare(self) -> None:
        """Check that the folder can be written, before time is spent on encoding.

        Raises:
            StorageError: the folder cannot be written.
        """
        require_writable(self.folder, "features", OTHER_CACHE_HINT)
        file = self.folder / DESCRIPTION_FILE
        if not file.exists():  # in a shared cache it may belong to another user
            save(file, self._description.encode() + b"\n", "features", OTHER_CACHE_HINT)

    def put(self, view: int, digests: list[str], features: NDArray[np.float32], crop: float = MIN_CROP) -> None:
        """Add n images as one shard.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        if not digests:
            return
        file, content = shard.serialize(digests, features)
        name = view_name(view, crop)
        folder = self.folder / name
        if not folder.is_dir():
            self.prepare()
        save(folder / file, content, "features", OTHER_CACHE_HINT)
        index = self._open(name)
        for i, digest in enumerate(digests):
            index[bytes.fromhex(digest)] = _Row(folder / file, i)
        enforce_limit(self.folder.parent, self._limit, keep=self.folder.name)

    def touch(self) -> None:
        """Mark this encoder as used now; does nothing in a read-only cache."""
        try:
            os.utime(self.folder)
        except OSError:
            return

    def _open(self, name: str) -> dict[bytes, _Row]:
        if name not in self._index:
            index: dict[bytes, _Row] = {}
            for path in list_paths(self.folder / name, "*.safetensors", CACHE_HINT):
                # A damaged shard is ignored, its images are encoded again; `harness features verify` lists it.
                index |= {digest: _Row(path, i) for i, digest in enumerate(shard.read_digests(path) or ())}
            self._index[name] = index
        return self._index[name]


def is_sha256(digest: str) -> bool:
    """Whether a text is a sha256 in lower-case hexadecimal."""
    return re.fullmatch("[0-9a-f]{64}", digest) is not None


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
            size = sum(path.stat().st_size for path in shards)
            found.append(
                CachedEncoder(
                    folder.name, description, sum(map(shard.count_images, shards)), size, folder.stat().st_mtime
                )
            )
        except OSError as error:
            raise read_error(folder, error, CACHE_HINT) from None
    return sorted(found, key=lambda e: -e.used)


def verify(root: Path) -> tuple[int, list[Path]]:
    """Check every shard against the checksum in its name; returns the number of shards and the damaged ones.

    Raises:
        StorageError: a folder or a shard cannot be read.
    """
    paths = list_paths(root, "*/view-*/*.safetensors", CACHE_HINT)
    return len(paths), [path for path in paths if shard.read_digests(path) is None]


def clear(root: Path, key: str | None = None) -> int:
    """Remove the features of one encoder (key or key prefix), or of all; returns the bytes freed.

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
    return sum(e.bytes for e in chosen)


def enforce_limit(root: Path, limit: int, keep: str) -> int:
    """Remove the least recently used encoders, never ``keep``, until the cache fits; returns the bytes freed."""
    held: list[tuple[float, int, Path]] = []
    for folder in root.iterdir() if root.is_dir() else ():
        try:  # another process may be removing it now
            size = sum(path.stat().st_size for path in folder.glob("view-*/*.safetensors"))
            held.append((folder.stat().st_mtime, size, folder))
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
