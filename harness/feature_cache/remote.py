"""A cache of features on an object store or another machine, by fsspec: shards are copied from and to it.

The variable HARNESS_REMOTE_CACHE names it, such as ``s3://bucket/features``. It has the folders of a local cache. A
shard is named by its sha256, so that no two writers conflict, and content that does not fit its name is not taken.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

import fsspec

from harness.errors import StorageError, one_line
from harness.feature_cache import shard
from harness.feature_cache.store import FeatureStore
from harness.feature_cache.views import View, view_name
from harness.files import OTHER_CACHE_HINT, list_paths, read_file, save

VARIABLE = "HARNESS_REMOTE_CACHE"


class RemoteCache:
    """The remote cache of an address.

    Raises:
        StorageError: fsspec cannot use the address, for example because a library is missing.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        with self._explained():
            self._files, root = fsspec.core.url_to_fs(address)
            self._root = PurePosixPath(root)

    @classmethod
    def of_environment(cls) -> RemoteCache | None:
        """That of the variable; None if it is not set."""
        address = os.environ.get(VARIABLE)
        return cls(address) if address else None

    def pull(self, store: FeatureStore, view: View) -> int:
        """Copy the shards of a view that are not here; returns their number.

        Raises:
            StorageError: the remote or the local cache cannot be used.
        """
        name = view_name(view.number, view.crop)
        here = {path.name for path in list_paths(store.folder / name, "*.safetensors")}
        taken = 0
        for file in sorted(self._names(store, name) - here):
            with self._explained():
                content = self._files.cat_file(self._path(store, name, file))
            if hashlib.sha256(content).hexdigest() == shard.sha256_of_name(file):
                store.prepare()
                save(store.folder / name / file, content, "features", OTHER_CACHE_HINT)
                taken += 1
        if taken:
            store.reopen(view.number, view.crop)
        return taken

    def push(self, store: FeatureStore, view: View) -> int:
        """Copy this user's shards of a view that are not there; returns their number.

        Raises:
            StorageError: the remote cache cannot be written, or the local one cannot be read.
        """
        name, sent = view_name(view.number, view.crop), 0
        there = self._names(store, name)
        for path in list_paths(store.folder / name, "*.safetensors"):
            if path.name not in there and shard.is_own(path):
                with self._explained():
                    self._files.makedirs(self._path(store, name, ""), exist_ok=True)
                    self._files.pipe_file(self._path(store, name, path.name), read_file(path))
                sent += 1
        return sent

    def _names(self, store: FeatureStore, view: str) -> set[str]:
        with self._explained():
            self._files.invalidate_cache()
            try:
                found = self._files.ls(self._path(store, view, ""), detail=False)
            except FileNotFoundError:
                return set()
        names = (PurePosixPath(path).name for path in found)
        return {name for name in names if shard.sha256_of_name(name)}

    def _path(self, store: FeatureStore, view: str, file: str) -> str:
        return str(self._root / store.folder.name / view / file)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except Exception as error:  # of any kind: every store has its own
            fault = f"the remote cache {self._address} cannot be used: {one_line(error)[:200]}"
            raise StorageError(fault, f"correct {VARIABLE} and the credentials, or unset it") from None
