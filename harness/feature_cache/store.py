"""The feature cache: content-addressed shards of rows of images, such as features, patch tokens or pixels.

The key of a row has three parts: the key of the extractor (kind, weights, preprocessing, precision), the view (its
number and the minimum crop area), and the sha256 of the image's bytes; paths and times do not matter. Shards
(``shard``) are written atomically and do not stay open; only the row number of each image is in memory. The cache has a
size limit: the rows of the least recently used extractors are removed first.

A cache folder that cannot be written, such as a shared one, is read, and new features go to the user's own cache.
Features that this user wrote are preferred, and ``origins`` says where all others come from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.feature_cache import shard
from harness.feature_cache.contents import DESCRIPTION_FILE, enforce_limit, size_limit
from harness.feature_cache.signed_index import signed_shards
from harness.feature_cache.views import MIN_CROP, view_name
from harness.file_stamp import Stamp
from harness.files import CACHE_HINT, OTHER_CACHE_HINT, list_paths, require_writable, save
from harness.folders import writable_cache

SHARED = "a shared cache"
"""Origin of features that neither this user wrote nor anybody signed."""


SIGNED = "a cache signed by {}"
"""Origin of features whose shard is in an index that a trusted key signed."""

ANY_ROWS = shard.RowRule()


class _Row(NamedTuple):
    """Location of an image's row: shard and number."""

    shard: Path
    number: int


class FeatureStore:
    """Rows of one extractor in the cache folder.

    Args:
        root: the folder of all extractors.
        key: the key of the extractor.
        description: a one-line description of it.
        limit: size limit of ``root`` in bytes; None means ``size_limit()``. Only rows of others are removed.
        rule: what the rows satisfy; a shard that does not is ignored.

    Attributes:
        folder: where new rows go.
        limit: size limit in bytes.
    """

    def __init__(
        self, root: Path, key: str, description: str, limit: int | None = None, rule: shard.RowRule = ANY_ROWS
    ) -> None:
        there = next((folder for folder in (root / key, root, root.parent) if folder.is_dir()), root)
        own = writable_cache(there)
        self.folder = root / key if own == there else own / "features" / key
        self._read = list(dict.fromkeys((root / key, self.folder)))
        self._description = description
        self.limit = size_limit() if limit is None else limit
        self._rule = rule
        self._index: dict[str, dict[bytes, _Row]] = {}
        self._stamps: dict[Path, Stamp] = {}
        self._origins: dict[Path, str | None] = {}
        self._signed: dict[Path, dict[Path, str]] = {}

    def get(
        self, view: int, digests: list[str], crop: float = MIN_CROP, out: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any] | None, list[int]]:
        """Look up the rows of images; only these are read from the shards.

        Args:
            view: number of the view.
            digests: sha256 of the images. An entry that is not a sha256, as of an unreadable file, is missing.
            crop: minimum crop area of the view.
            out: where to put the rows ``(n, width)``; None makes a new array. Rows of missing images are not changed.

        Returns:
            The flat rows ``(n, width)`` (zero for missing images in a new array, which is None if all are missing), and
            the positions of the missing images.

        Raises:
            StorageError: the cache cannot be read.
        """
        name = view_name(view, crop)
        missing = np.ones(len(digests), dtype=bool)
        for path, pairs in self._places(name, digests).items():
            rows = self._read_shard(path)
            if rows is None:  # removed or damaged since it was listed
                self._index[name] = {d: row for d, row in self._index[name].items() if row.shard != path}
                continue
            positions, numbers = np.array(pairs).T
            if out is None:
                out = np.zeros((len(digests), rows.shape[1]), dtype=rows.dtype)
            out[positions] = rows[numbers]
            missing[positions] = False
        return out, np.flatnonzero(missing).tolist()

    def missing(self, view: int, digests: Collection[str], crop: float = MIN_CROP) -> list[str]:
        """Those of some sha256, in their order, whose rows are not cached; the rows are not read.

        Raises:
            StorageError: the cache cannot be read.
        """
        places = self._places(view_name(view, crop), digests)
        here = [path for path in places if shard.stamp(path) == self._stamps[path] or self._checked(path)]
        found = {i for path in here for i, _ in places[path]}
        return [digest for i, digest in enumerate(digests) if i not in found]

    def _places(self, name: str, digests: Iterable[str]) -> dict[Path, list[tuple[int, int]]]:
        """Shard -> (position among the digests, row number in the shard) of the cached ones."""
        index = self._open(name)
        found: dict[Path, list[tuple[int, int]]] = {}
        for i, digest in enumerate(digests):
            if is_sha256(digest) and (row := index.get(bytes.fromhex(digest))):
                found.setdefault(row.shard, []).append((i, row.number))
        return found

    def prepare(self) -> None:
        """Check that the folder can be written, before time is spent on encoding, and mark it as used.

        Raises:
            StorageError: the folder cannot be written.
        """
        require_writable(self.folder, "features", OTHER_CACHE_HINT)
        file = self.folder / DESCRIPTION_FILE
        if not file.exists():  # in a shared cache it may belong to another user
            save(file, self._description.encode() + b"\n", "features", OTHER_CACHE_HINT)
        self.touch()

    def put(self, view: int, digests: list[str], rows: NDArray[Any], crop: float = MIN_CROP) -> None:
        """Add rows ``(n, *shape)`` of n images as one shard.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        if not digests:
            return
        name = view_name(view, crop)
        file, content = shard.serialize(digests, rows, (self.folder.name, name))
        folder = self.folder / name
        if not folder.is_dir():
            self.prepare()
        save(folder / file, content, "features", OTHER_CACHE_HINT)
        self._open(name).update(self._checked(folder / file))
        enforce_limit(self.folder.parent, self.limit, keep=self.folder.name)

    def reopen(self, view: int, crop: float = MIN_CROP) -> None:
        """List the shards of a view again at the next look-up: others wrote some."""
        self._index.pop(view_name(view, crop), None)

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
        """Mark these rows as used now; does nothing in a read-only cache."""
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

    def _read_shard(self, path: Path) -> NDArray[Any] | None:
        """The rows of a listed shard, checked again if it was written to since."""
        rows = shard.read_rows(path, self._stamps[path])
        return shard.read_rows(path, self._stamps[path]) if rows is None and self._checked(path) else rows

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
