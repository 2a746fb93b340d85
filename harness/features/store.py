"""The feature cache: content-addressed shards of encoded images.

A feature is found by three things: the encoder key (weights, preprocessing, precision), the view (its number and the
least share of the image that a crop has), and the sha256 of the image's bytes; neither path nor time plays a part.
Shards are safetensors files that are written to a temporary name and renamed; a shard's name is the sha256 of its
content, so it can be verified. The cache has a size bound: the encoders that were used longest ago go first.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as format_shard

from harness.errors import StorageError, UserError, unknown_name
from harness.features.views import CROP, view_name
from harness.files import CACHE_HINT, listed, storage_error, unreadable, write_atomic

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
class Entry:
    """What the cache holds for one encoder: its key, description, images, bytes and time of last use (s)."""

    key: str
    description: str
    images: int
    bytes: int
    used: float


class _Shard(NamedTuple):
    sha256: NDArray[np.uint8]
    feature: NDArray[np.float32]


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
        self._index: dict[str, dict[bytes, tuple[NDArray[np.float32], int]]] = {}

    def get(self, view: int, digests: list[str], crop: float = CROP) -> tuple[NDArray[np.float32] | None, list[int]]:
        """Look images up.

        Returns:
            The features ``(n, d)`` (rows of missing images are zero; None if nothing at all is there), and the
            positions of the missing images. What is no sha256 (a file that cannot be read has none) is missing.
        """
        index = self._open(view_name(view, crop))
        found = [index.get(bytes.fromhex(d)) if is_sha256(d) else None for d in digests]
        missing = [i for i, hit in enumerate(found) if hit is None]
        hits = [hit for hit in found if hit is not None]
        if not hits:
            return None, missing
        out = np.zeros((len(digests), hits[0][0].shape[1]), dtype=np.float32)
        for i, hit in enumerate(found):
            if hit is not None:
                out[i] = hit[0][hit[1]]
        return out, missing

    def prepare(self) -> None:
        """See that the folder can be written, before time is spent on encoding.

        Raises:
            StorageError: it cannot.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            about = self.folder / ABOUT
            if not about.exists():  # in a shared cache it may be another user's
                write_atomic(about, self._description.encode() + b"\n")
            with TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise self._unwritable(error) from None

    def put(self, view: int, digests: list[str], features: NDArray[np.float32], crop: float = CROP) -> None:
        """Add n images as one shard.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        if not digests:
            return
        raw = np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(-1, 32)
        content = format_shard({"sha256": raw, "feature": np.ascontiguousarray(features, dtype=np.float32)})
        name = view_name(view, crop)
        folder = self.folder / name
        try:
            if not folder.is_dir():
                self.prepare()
                folder.mkdir(exist_ok=True)
            write_atomic(folder / f"{hashlib.sha256(content).hexdigest()}.safetensors", content)
        except OSError as error:
            raise self._unwritable(error) from None
        index = self._open(name)
        for i, digest in enumerate(digests):
            index[bytes.fromhex(digest)] = (features, i)
        enforce_limit(self.folder.parent, self._limit, keep=self.folder.name)

    def touch(self) -> None:
        """Mark this encoder as used now; a read-only cache stays as it is."""
        try:
            os.utime(self.folder)
        except OSError:
            return

    def _unwritable(self, error: OSError) -> StorageError:
        hint = "free some space or choose another cache folder with --cache or HARNESS_CACHE"
        return storage_error("features", self.folder, error, hint)

    def _open(self, name: str) -> dict[bytes, tuple[NDArray[np.float32], int]]:
        if name not in self._index:
            index: dict[bytes, tuple[NDArray[np.float32], int]] = {}
            for path in listed(self.folder / name, "*.safetensors", CACHE_HINT):
                shard = _read(path)
                if shard is None:
                    continue  # damaged: encoded again; `harness features verify` names it
                for i, row in enumerate(shard.sha256):
                    index[row.tobytes()] = (shard.feature, i)
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


def entries(root: Path) -> list[Entry]:
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
            description = about[0].read_text().strip() if about else "unknown encoder"
            size = sum(path.stat().st_size for path in shards)
            found.append(Entry(folder.name, description, sum(map(_images, shards)), size, folder.stat().st_mtime))
        except OSError as error:
            raise unreadable(folder, error, CACHE_HINT) from None
    return sorted(found, key=lambda e: -e.used)


def verify(root: Path) -> tuple[int, list[Path]]:
    """Check every shard against the checksum in its name; returns how many were checked, and the damaged ones.

    Raises:
        StorageError: a folder cannot be read.
    """
    paths = listed(root, "*/view-*/*.safetensors", CACHE_HINT)
    return len(paths), [path for path in paths if _read(path) is None]


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
            reason = (error.strerror or str(error)).lower()
            raise StorageError(f"{root / entry.key} cannot be removed: {reason}", "check its permissions") from None
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


def _images(path: Path) -> int:
    """How many images a shard says it holds; none if it is cut off."""
    try:
        with safe_open(path, framework="np") as shard:
            return int(shard.get_slice("sha256").get_shape()[0])
    except (OSError, SafetensorError):
        return 0


def _read(path: Path) -> _Shard | None:
    """A shard that is whole, or None. Checked at every reading: a flipped bit must not become a number.

    The file is mapped, not copied, so that workers share its pages.
    """
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # ValueError: an empty file cannot be mapped
        return None
    if hashlib.sha256(content).hexdigest() != path.stem:
        return None
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])

    def mapped(name: str, dtype: type) -> NDArray[Any]:
        first, last = header[name]["data_offsets"]
        flat: NDArray[Any] = np.frombuffer(memoryview(content)[start + first : start + last], dtype)
        shaped: NDArray[Any] = flat.reshape(header[name]["shape"])
        return shaped

    return _Shard(mapped("sha256", np.uint8), mapped("feature", np.float32))
