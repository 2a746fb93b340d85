"""The feature cache: content-addressed shards of encoded images.

A feature is found by three things: the encoder key (weights, preprocessing, precision), the view (its number and the
least share of the image that a crop has), and the sha256 of the image's bytes; neither path nor time plays a part.
Shards (``shard``) are written to a temporary name and renamed. None stays open or in memory: what is kept of a shard is
where each image's row lies. The cache has a size bound: the encoders that were used longest ago go first.
"""

from __future__ import annotations

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
from harness.features.views import CROP, view_name
from harness.files import CACHE_HINT, OTHER_CACHE, listed, read_file, require_writable, save, unreadable

DEFAULT_LIMIT = 20 * 2**30
"""Bytes that the cache may hold, unless the variable HARNESS_CACHE_LIMIT says otherwise."""

ABOUT = "encoder.txt"
"""The file in an encoder's folder that describes it."""

_UNITS = {"": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("KMGT", start=1)
    for ending, base in (("", 1024), ("IB", 1024), ("B", 1000))
}


@dataclass(frozen=True)
class CachedFeatures:
    """What the cache holds for one encoder: its key, description, images, bytes and time of last use (s)."""

    key: str
    description: str
    images: int
    bytes: int
    used: float


class _Row(NamedTuple):
    """Where an image's features lie."""

    shard: Path
    number: int


class FeatureStore:
    """Features of one encoder in the cache folder.

    Args:
        root: the folder of all encoders.
        key: what the features depend on, beside the image and the view.
        description: the same in words.
        limit: bytes that ``root`` may hold; None is that of ``size_limit``. Only other encoders are removed.
    """

    def __init__(self, root: Path, key: str, description: str, limit: int | None = None) -> None:
        self.folder = root / key
        self._description = description
        self._limit = size_limit() if limit is None else limit
        self._index: dict[str, dict[bytes, _Row]] = {}

    def get(self, view: int, digests: list[str], crop: float = CROP) -> tuple[NDArray[np.float32] | None, list[int]]:
        """Look images up.

        Returns:
            The features ``(n, d)`` (rows of missing images are zero; None if nothing at all is there), and the
            positions of the missing images. What is no sha256 (a file that cannot be read has none) is missing.

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
            features = shard.features(path)
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
        """See that the folder can be written, before time is spent on encoding.

        Raises:
            StorageError: it cannot.
        """
        require_writable(self.folder, "features", OTHER_CACHE)
        about = self.folder / ABOUT
        if not about.exists():  # in a shared cache it may be another user's
            save(about, self._description.encode() + b"\n", "features", OTHER_CACHE)

    def put(self, view: int, digests: list[str], features: NDArray[np.float32], crop: float = CROP) -> None:
        """Add n images as one shard.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        if not digests:
            return
        file, content = shard.formatted(digests, features)
        name = view_name(view, crop)
        folder = self.folder / name
        if not folder.is_dir():
            self.prepare()
        save(folder / file, content, "features", OTHER_CACHE)
        index = self._open(name)
        for i, digest in enumerate(digests):
            index[bytes.fromhex(digest)] = _Row(folder / file, i)
        enforce_limit(self.folder.parent, self._limit, keep=self.folder.name)

    def touch(self) -> None:
        """Mark this encoder as used now; a read-only cache stays as it is."""
        try:
            os.utime(self.folder)
        except OSError:
            return

    def _open(self, name: str) -> dict[bytes, _Row]:
        if name not in self._index:
            index: dict[bytes, _Row] = {}
            for path in listed(self.folder / name, "*.safetensors", CACHE_HINT):
                # Of a damaged one nothing is taken: encoded again; `harness features verify` names it.
                index |= {digest: _Row(path, i) for i, digest in enumerate(shard.digests(path) or ())}
            self._index[name] = index
        return self._index[name]


def is_sha256(digest: str) -> bool:
    """Whether a text is a sha256 in lower-case hexadecimal."""
    return re.fullmatch("[0-9a-f]{64}", digest) is not None


def size_limit() -> int:
    """Bytes that the cache may hold: HARNESS_CACHE_LIMIT, such as 500000000, 20GB or 1.5 TiB, else the default.

    Raises:
        UserError: the variable is not a size.
    """
    text = os.environ.get("HARNESS_CACHE_LIMIT", "").strip()
    if not text:
        return DEFAULT_LIMIT
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?(?:I?B)?)", text.upper())
    unit = found[2] if found else ""
    if found is None or (unit not in _UNITS and unit != "B"):
        raise UserError(f"HARNESS_CACHE_LIMIT is {text!r}, which is not a size", "give bytes, or for example 20GB")
    return int(float(found[1]) * _UNITS.get(unit, 1)) if "." in found[1] else int(found[1]) * _UNITS.get(unit, 1)


def entries(root: Path) -> list[CachedFeatures]:
    """What the cache holds by the headers of its shards, the most recently used encoder first.

    The data are not read: a shard with a flipped bit counts, and ``verify`` names it.

    Raises:
        StorageError: a folder cannot be read.
    """
    found = []
    for folder in listed(root, "*", CACHE_HINT):
        about, shards = listed(folder, ABOUT, CACHE_HINT), listed(folder, "view-*/*.safetensors", CACHE_HINT)
        if not (about or shards):
            continue
        try:
            description = read_file(about[0]).decode(errors="replace").strip() if about else "unknown encoder"
            size = sum(path.stat().st_size for path in shards)
            found.append(
                CachedFeatures(folder.name, description, sum(map(shard.images, shards)), size, folder.stat().st_mtime)
            )
        except OSError as error:
            raise unreadable(folder, error, CACHE_HINT) from None
    return sorted(found, key=lambda e: -e.used)


def verify(root: Path) -> tuple[int, list[Path]]:
    """Check every shard against the checksum in its name; returns how many were checked, and the damaged ones.

    Raises:
        StorageError: a folder or a shard cannot be read.
    """
    paths = listed(root, "*/view-*/*.safetensors", CACHE_HINT)
    return len(paths), [path for path in paths if shard.digests(path) is None]


def clear(root: Path, key: str | None = None) -> int:
    """Remove one encoder's features (key or its beginning), or all; returns the bytes freed.

    Raises:
        UserError: there is no such encoder.
        StorageError: a folder cannot be removed.
    """
    found = entries(root)
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
    """Remove encoders, longest unused first and never ``keep``, until the cache fits; returns the bytes freed."""
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
