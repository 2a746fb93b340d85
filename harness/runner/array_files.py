"""Files through which large arrays reach the processes of cells: pixels, patch tokens, many views."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray

from harness.errors import StorageError
from harness.files import OTHER_CACHE_HINT
from harness.folders import writable_cache
from harness.runner.image_input import ArrayFile

FOLDER = "cell-inputs"
"""Folder in the cache; a run has its own in it, which starts with the number of its process."""


class ArrayFiles:
    """The files of a run, in a folder that its processes may read.

    Attributes:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of_run(cls, cache: Path) -> ArrayFiles:
        """Those of this run; files of runs that were killed are removed.

        Raises:
            StorageError: the cache cannot be written.
        """
        root = writable_cache(cache) / FOLDER
        try:
            root.mkdir(parents=True, exist_ok=True)
            for left in root.iterdir():
                if not psutil.pid_exists(int(left.name.partition("-")[0])):
                    shutil.rmtree(left, ignore_errors=True)
            return cls(Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root)))
        except (OSError, ValueError) as error:
            raise StorageError(f"{root} cannot be written: {error}", OTHER_CACHE_HINT) from None

    def save(self, n: int, parts: Iterator[NDArray[Any]]) -> ArrayFile:
        """Write an array of n rows, n > 0, which comes in parts.

        Raises:
            StorageError: the disk is full.
        """
        number, name = tempfile.mkstemp(suffix=".npy", dir=self.folder)
        first = next(parts)
        header = {"descr": first.dtype.str, "fortran_order": False, "shape": (n, *first.shape[1:])}
        try:
            with os.fdopen(number, "wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for part in itertools.chain([first], parts):
                    file.write(np.ascontiguousarray(part).data)
        except OSError as error:
            raise StorageError(f"{name} cannot be written: {error.strerror}", OTHER_CACHE_HINT) from None
        return ArrayFile(Path(name))

    def remove(self, arrays: Iterable[ArrayFile]) -> None:
        """Remove some of them; a process that has mapped one keeps it."""
        for array in arrays:
            array.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)
