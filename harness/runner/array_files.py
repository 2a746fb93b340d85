"""Files through which large arrays reach the processes of cells: pixels, patch tokens, many views."""

from __future__ import annotations

import itertools
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout
from numpy.typing import NDArray

from harness.errors import StorageError, os_reason
from harness.files import OTHER_CACHE_HINT
from harness.folders import writable_cache

FOLDER = "cell-inputs"
"""Folder in the cache; a run has its own in it, whose lock it holds."""

LOCK = ".lock"


@dataclass(frozen=True)
class ArrayFile:
    """An array in a ``.npy`` file, which a process maps into memory when it is used."""

    path: Path

    def mapped(self) -> NDArray[Any]:
        """The array; what is written into it reaches no other process."""
        opened: NDArray[Any] = np.load(self.path, mmap_mode="c", allow_pickle=False)
        return opened


class ArrayFiles:
    """The files of a run, in a folder that its processes may not list.

    A process reads the files whose names its cell has. Those of other cells could tell which images are of one pool.

    Attributes:
        folder: the folder.
    """

    def __init__(self, folder: Path, lock: BaseFileLock) -> None:
        self.folder, self._lock = folder, lock

    @classmethod
    def of_run(cls, cache: Path) -> ArrayFiles:
        """Those of this run; files of runs that were killed are removed.

        Raises:
            StorageError: the cache cannot be written.
        """
        root = writable_cache(cache) / FOLDER
        try:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / LOCK, mode=0o666):  # no other run takes a new folder for one that was left
                _remove_left(root)
                folder = Path(tempfile.mkdtemp(dir=root))
                lock = FileLock(folder / LOCK)
                lock.acquire()
        except (OSError, NotImplementedError) as error:  # a file system without locks
            raise StorageError(f"{root} cannot be written: {os_reason(error)}", OTHER_CACHE_HINT) from None
        return cls(folder, lock)

    def save(self, n: int, parts: Iterator[NDArray[Any]]) -> ArrayFile:
        """Write an array of n rows, n > 0, which comes in parts.

        Raises:
            StorageError: the disk is full.
        """
        path = self.folder / f"{secrets.token_hex(16)}.npy"
        first = next(parts)
        header = {"descr": first.dtype.str, "fortran_order": False, "shape": (n, *first.shape[1:])}
        try:
            with path.open("xb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for part in itertools.chain([first], parts):
                    file.write(np.ascontiguousarray(part).data)
        except OSError as error:
            path.unlink(missing_ok=True)
            fault = f"the images of a cell cannot be written to the cache: {os_reason(error)}"
            raise StorageError(fault, OTHER_CACHE_HINT) from None
        return ArrayFile(path)

    def remove(self, arrays: Iterable[ArrayFile]) -> None:
        """Remove some of them; a process that has mapped one keeps it."""
        for array in arrays:
            array.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all of them."""
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)


def _remove_left(root: Path) -> None:
    """Remove the folders whose locks nobody holds, also those of runs on other machines."""
    for folder in (path for path in root.iterdir() if path.is_dir()):
        try:
            with FileLock(folder / LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, PermissionError):  # a run, or another user's
            continue
