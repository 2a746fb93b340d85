"""Writing files so that nothing is ever half written, and where the user's cache lies."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from platformdirs import user_cache_path

from harness.errors import StorageError

TEMPORARY = ".tmp-harness-"
"""What the name of a file that is being written begins with."""

STALE = 24 * 3600
"""Seconds after which such a file has no writer any more: a writer has its whole content at hand."""

_swept: set[Path] = set()


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it is either absent (or as it was) or whole, also after kill -9.

    What killed writers left in the folder is removed when a process first writes there.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            if path.parent not in _swept:
                _swept.add(path.parent)
                _sweep(path.parent, os.fstat(handle).st_mtime)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sweep(folder: Path, now: float) -> None:
    """Remove leftovers of killed writers; ``now`` is by the clock of the file system, which may be a server's."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(TEMPORARY):
                with contextlib.suppress(OSError):  # another process was faster, or may not be disturbed
                    if now - entry.stat(follow_symlinks=False).st_mtime > STALE:
                        Path(entry.path).unlink()


def source_digest(places: Iterable[Path]) -> str:
    """sha256 over the Python sources under some files and folders: the same for the same code, wherever it lies."""
    digest = hashlib.sha256()
    for place in places:
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            # Not the folder's own name: an editable install calls it otherwise.
            name = path.relative_to(place).as_posix() if place.is_dir() else path.name
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def cache_root(given: Path | None = None) -> Path:
    """The cache folder: the given one, else the variable HARNESS_CACHE, else the user's own cache folder."""
    if given is not None:
        return given.expanduser()
    variable = os.environ.get("HARNESS_CACHE")
    return Path(variable).expanduser() if variable else user_cache_path("laion-beyond-harness")


def storage_error(what: str, path: Path, error: OSError, hint: str) -> StorageError:
    """The sentence for a file that cannot be written."""
    return StorageError(f"{what} cannot be written to {path}: {(error.strerror or str(error)).lower()}", hint)
