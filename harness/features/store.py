"""The feature cache: content-addressed shards of encoded images.

The key of a feature has three parts: the encoder key (weights, preprocessing, precision), the view (its number and the
minimum crop area), and the sha256 of the image's bytes; paths and times do not matter. Shards (``shard``) are written
atomically and do not stay open; only the row number of each image is in memory. The cache has a size limit: the least
recently used encoders are removed first.

A cache folder that cannot be written, such as a shared one, is read, and new features go to the user's own cache.
Features that this user wrote are preferred, and ``origins`` says where all others come from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.features import shard
from harness.features.contents import DESCRIPTION_FILE, enforce_limit, size_limit
from harness.features.signed_index import signed_shards
from harness.features.views import MIN_CROP, view_name
from harness.files import CACHE_HINT, OTHER_CACHE_HINT, list_paths, require_writable, save
from harness.folders import writable_cache

SHARED = "a shared cache"
"""Origin of features that neither this user wrote nor anybody signed."""


SIGNED = "a cache signed by {}"
"""Origin of features whose shard is in an index that a trusted key signed."""

ANY_ROWS = shard.RowRule()


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
        rule: what the features satisfy; a shard that does not is ignored.
    """

    def __init__(
        self, root: Path, key: str, description: str, limit: int | None = None, rule: shard.RowRule = ANY_ROWS
    ) -> None:
        there = next((folder for folder in (root / key, root, root.parent) if folder.is_dir()), root)
        own = writable_cache(there)
        self.folder = root / key if own == there else own / "features" / key
        self._read = list(dict.fromkeys((root / key, self.folder)))
        self._description = description
        self._limit = size_limit() if limit is None else limit
        self._rule = rule
        self._index: dict[str, dict[bytes, _Row]] = {}
        self._stamps: dict[Path, shard.Stamp] = {}
        self._origins: dict[Path, str | None] = {}
        self._signed: dict[Path, dict[Path, str]] = {}

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
            features = self._read_shard(path)
            if features is None:  # removed or damaged since it was listed
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
        name = view_name(view, crop)
        file, content = shard.serialize(digests, features, (self.folder.name, name))
        folder = self.folder / name
        if not folder.is_dir():
            self.prepare()
        save(folder / file, content, "features", OTHER_CACHE_HINT)
        self._open(name).update(self._checked(folder / file))
        enforce_limit(self.folder.parent, self._limit, keep=self.folder.name)

    def has_foreign(self) -> bool:
        """Whether any features that were looked up so far lie in a shard that this user did not write."""
        return any(map(self._origin, self._stamps))

    def origins(self, view: int, digests: Iterable[str], crop: float = MIN_CROP) -> set[str]:
        """Where cached features of images come from that this user did not write.

        Raises:
            StorageError: the cache cannot be read.
        """
        index = self._open(view_name(view, crop))
        rows = (index.get(bytes.fromhex(digest)) for digest in digests if is_sha256(digest))
        return {origin for row in rows if row and (origin := self._origin(row.shard))}

    def touch(self) -> None:
        """Mark this encoder as used now; does nothing in a read-only cache."""
        try:
            os.utime(self.folder)
        except OSError:
            return

    def _open(self, name: str) -> dict[bytes, _Row]:
        if name not in self._index:
            paths = [p for folder in self._read for p in list_paths(folder / name, "*.safetensors", CACHE_HINT)]
            index: dict[bytes, _Row] = {}
            for path in sorted(paths, key=shard.is_own):  # own ones last: they replace others
                # A damaged shard is ignored, its images are encoded again; `harness features verify` lists it.
                index |= self._checked(path)
            self._index[name] = index
        return self._index[name]

    def _checked(self, path: Path) -> dict[bytes, _Row]:
        """The images of an undamaged shard; empty for another one."""
        found = shard.check(path, self._rule)
        if found is None:
            return {}
        self._stamps[path] = found.stamp
        return {digest: _Row(path, i) for i, digest in enumerate(found.digests)}

    def _read_shard(self, path: Path) -> NDArray[np.float32] | None:
        """The features of a listed shard, checked again if it was written to since."""
        features = shard.read_features(path, self._stamps[path])
        return shard.read_features(path, self._stamps[path]) if features is None and self._checked(path) else features

    def _origin(self, path: Path) -> str | None:
        """Where a shard comes from; None if this user wrote it."""
        if path not in self._origins:
            self._origins[path] = None if shard.is_given(path) or shard.is_own(path) else self._signed_by(path)
        return self._origins[path]

    def _signed_by(self, path: Path) -> str:
        """The origin of a shard that another user wrote, by the signed index of its cache."""
        root = path.parents[2]
        if root not in self._signed:
            self._signed[root] = signed_shards(root)
        name = self._signed[root].get(path)
        return SHARED if name is None else SIGNED.format(name)


def is_sha256(digest: str) -> bool:
    """Whether a text is a sha256 in lower-case hexadecimal."""
    return re.fullmatch("[0-9a-f]{64}", digest) is not None
