"""Writing files so that nothing is ever half written, and where the user's cache lies."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from platformdirs import user_cache_path

from harness.errors import StorageError, os_reason

TEMPORARY = ".tmp-harness-"
"""What the name of a file that is being written begins with."""

STALE = 24 * 3600
"""Seconds after which such a file has no writer any more: a writer has its whole content at hand."""

PERMISSIONS = "check its permissions, and those of the folders above"
"""What to do about a file or folder that is there and cannot be used."""

OTHER_CACHE = "choose another cache folder with --cache or HARNESS_CACHE"

CACHE_HINT = f"{PERMISSIONS}, or {OTHER_CACHE}"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

LIMITS_HINT = "use fewer --workers, or raise this process's limits (ulimit -a shows them)"

_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)

_REMEDIES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), PERMISSIONS),
    **dict.fromkeys(_FULL, "free some space"),
    **dict.fromkeys(_LIMITS, LIMITS_HINT),
    **dict.fromkeys((errno.EIO, errno.ESTALE), "run the same command again when the device answers"),
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What to do about what a machine refuses."""

_KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)

_STAND_INS = (
    (rb"version https://git-lfs\.github\.com/spec/", "a Git LFS pointer and not the file itself: run `git lfs pull`"),
    (rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype html|html)\b", "a web page: get the file again"),
)
"""What lies in the place of a file that was never fetched, by its first bytes."""

_swept: set[Path] = set()


def regular_file(path: Path) -> BinaryIO:
    """A regular file, open to be read. Whatever else has its name, such as a named pipe, is never waited for.

    Raises:
        OSError: it is no regular file, or cannot be opened.
    """
    _require_file(path.stat())
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - pathlib takes no opener
    try:
        _require_file(os.fstat(file.fileno()))  # it may have been exchanged just now
    except OSError:
        file.close()
        raise
    return file


def read_file(path: Path, most: int | None = None) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: it is no regular file, cannot be read, or has more than ``most`` bytes.
    """
    with regular_file(path) as file:
        if most is not None and os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
        return file.read()


def stand_in(content: bytes) -> str | None:
    """What lies in the place of the file that was meant, and what to do about it; None if nothing is known of that."""
    return next((what for begins, what in _STAND_INS if re.match(begins, content[:512], re.IGNORECASE)), None)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _require_file(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(found.st_mode)), "special file")
        raise OSError(errno.EISDIR if kind == "folder" else errno.EINVAL, f"it is a {kind}, not a file")


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it is either absent (or as it was) or whole, also after kill -9; its mode is the umask's.

    What killed writers left in the folder is removed when a process first writes there.
    """
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        with temporary.open("xb") as file:
            if path.parent not in _swept:
                _swept.add(path.parent)
                _sweep(path.parent, os.fstat(file.fileno()).st_mtime)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # where nothing can be written, nothing can be removed either
            temporary.unlink()
        raise


def save(path: Path, content: bytes, what: str, hint: str) -> None:
    """``write_atomic``, with the folders above the file made where they are missing.

    Args:
        path: the file.
        content: all of it.
        what: what it is called in the error.
        hint: what to do if it cannot be written.

    Raises:
        StorageError: it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    except OSError as error:
        raise storage_error(what, path, error, hint) from None


def require_writable(folder: Path, what: str, hint: str) -> None:
    """Make a folder and see that files can be written there, before time is spent on what they will hold.

    Raises:
        StorageError: it cannot be made, or they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise storage_error(what, folder, error, hint) from None


def _sweep(folder: Path, now: float) -> None:
    """Remove leftovers of killed writers; ``now`` is by the clock of the file system, which may be a server's."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(TEMPORARY):
                with contextlib.suppress(OSError):  # another process was faster, or may not be disturbed
                    if now - entry.stat(follow_symlinks=False).st_mtime > STALE:
                        Path(entry.path).unlink()


def listed(folder: Path, pattern: str, hint: str = PERMISSIONS) -> list[Path]:
    """What matches a pattern such as ``cells/*/*.json`` under a folder, sorted; nothing if there is no such folder.

    Hidden names are left out, such as the ``._name`` that macOS writes beside ``name`` on foreign file systems.
    ``Path.glob`` passes over folders that may not be read: what lies there would be gone without a word.

    Raises:
        StorageError: a folder cannot be read.
    """
    first, _, rest = pattern.partition("/")
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(folder, error, hint) from None
    found = [folder / name for name in names if fnmatchcase(name, first)]
    return sorted(path for inner in found for path in listed(inner, rest, hint)) if rest else sorted(found)


def content_digest(files: Iterable[tuple[str, Path]]) -> str:
    """sha256 over names and contents of some files: the same for the same files, wherever they lie."""
    digest = hashlib.sha256()
    for name, path in files:
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def tree(folder: Path) -> list[tuple[str, Path]]:
    """The files under a folder as (name from there, path), sorted; hidden ones and compiled caches are left out.

    Raises:
        OSError: a folder cannot be read.
    """

    def unreadable_folder(error: OSError) -> None:
        raise error

    found = []
    for inner, folders, names in os.walk(folder, onerror=unreadable_folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        paths = [Path(inner, name) for name in names if not name.startswith(".") and not name.endswith(".pyc")]
        found += [(path.relative_to(folder).as_posix(), path) for path in paths if path.is_file()]
    return sorted(found)


def expanded(path: Path) -> Path:
    """A path whose ``~`` is the user's home folder, and ``~name`` another's.

    Raises:
        StorageError: there is no such home folder.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise StorageError(f"{path} is nowhere: there is no such home folder", "write the whole path") from None


def cache_root(given: Path | None = None) -> Path:
    """The cache folder: the given one, else the variable HARNESS_CACHE, else the user's own cache folder.

    Raises:
        StorageError: the user has no home folder, as in a container under a number without a name.
    """
    variable = os.environ.get("HARNESS_CACHE")
    try:
        if given is not None:
            return given.expanduser()
        return Path(variable).expanduser() if variable else user_cache_path("laion-beyond-harness")
    except RuntimeError:
        hint = "set HOME, or choose a folder with --cache or HARNESS_CACHE"
        raise StorageError("there is no place for the cache: the user has no home folder", hint) from None


def storage_error(what: str, path: Path, error: OSError, hint: str) -> StorageError:
    """The sentence for a file that cannot be written; ``hint`` is what else there is to do where there is no room."""
    room = "free some space, or " if error.errno in _FULL else ""
    return StorageError(f"{what} cannot be written to {path}: {os_reason(error)}", room + hint)


def unreadable(path: Path, error: OSError, hint: str = PERMISSIONS) -> StorageError:
    """The sentence for a file or folder that cannot be read."""
    return StorageError(f"{path} cannot be read: {os_reason(error)}", hint)


def from_os_error(error: OSError) -> StorageError | None:
    """The sentence for what a machine refuses where nobody expected it; None for any other error, which is a bug.

    It is a permission, room, or a file system that fails, most likely under a redirected stdout; or a limit.
    """
    hint = _REMEDIES.get(error.errno or 0)
    if hint is None:
        return None
    what = error.filename or ("a file or a process" if error.errno in _LIMITS else "stdout")
    refusal = "written" if error.errno in _FULL else "used"
    return StorageError(f"{what} cannot be {refusal}: {os.strerror(error.errno or 0).lower()}", hint)
