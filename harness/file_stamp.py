"""The state of a file as its system sees it: whether it was written to since."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """What changes whenever a file does: the kernel sets the last of it, and no program can set it back."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, file: Path | str | int) -> Stamp:
        """That of a file, or of one that is open with this number.

        Raises:
            OSError: there is no such file.
        """
        return cls.of_status(os.stat(file))  # noqa: PTH116 - of a number too

    @classmethod
    def of_status(cls, found: os.stat_result) -> Stamp:
        """That of a file whose status is known."""
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
