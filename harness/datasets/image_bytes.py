"""Read image files as bytes, and hash them; without Pillow, which a run whose cells are all known does not need."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

from harness.errors import DataError, HarnessError, StorageError
from harness.files import open_regular_file, read_blocks, read_file

MAX_BYTES = 1 << 28
"""Files with more bytes are refused; a photograph of ``MAX_PIXELS`` needs less in every compressed format."""

RETRY_HINT = "run the same command again"
"""Hint for a temporary failure."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def file_digest(path: str | Path) -> str:
    """The sha256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        DataError, StorageError: as for ``read_bytes``.
    """
    return hashlib.sha256(read_bytes(path, str(path))).hexdigest()


def large_file_digest(path: str | Path) -> str:
    """The sha256 of a file of any size, such as weights; of a large one little is in memory at a time.

    Raises:
        DataError, StorageError: as for ``read_bytes``.
    """
    digest = hashlib.sha256()
    try:
        with open_regular_file(path) as file:
            for block in read_blocks(file):
                digest.update(block)
    except (OSError, ValueError, MemoryError) as error:
        raise _read_error(error, str(path)) from error
    return digest.hexdigest()


def read_bytes(path: str | Path, name: str) -> bytes:
    """Read a file; ``name`` is its name in errors.

    Raises:
        DataError: the file is missing, unreadable, too large or not a regular file.
        StorageError: the machine temporarily lacks memory or file descriptors.
    """
    try:
        return read_file(path, MAX_BYTES)
    except (OSError, ValueError, MemoryError) as error:
        raise _read_error(error, name) from error


def _read_error(error: Exception, name: str) -> HarnessError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DataError(f"{name}: the file does not exist")
    if isinstance(error, MemoryError) or getattr(error, "errno", None) in _EXHAUSTED:
        return StorageError(f"{name}: the file cannot be read now ({reason_of(error)})", RETRY_HINT)
    return DataError(f"{name}: the file cannot be read ({reason_of(error)})")


def reason_of(error: BaseException) -> str:
    """Why a file cannot be read or decoded, in a few words."""
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().rstrip(".")
