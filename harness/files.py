"""Atomic writing, safe reading and listing of files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from harness.errors import StorageError, near_path, os_reason

TEMPORARY_PREFIX = ".tmp-harness-"
"""Prefix of the names of files that are being written."""

STALE_SECONDS = 24 * 3600
"""Age in seconds at which a temporary file is considered abandoned; a write takes far less."""

PERMISSIONS_HINT = "check its permissions, and those of the folders above"
"""Hint for a file or folder that exists but cannot be used."""

OTHER_CACHE_HINT = "choose another cache folder with --cache or HARNESS_CACHE"
CACHE_HINT = f"{PERMISSIONS_HINT}, or {OTHER_CACHE_HINT}"

NO_SPACE_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LIMITS_HINT = "use fewer --workers, or raise this process's limits (ulimit -a shows them)"
LIMIT_ERRNOS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)

_SPECIAL_FILES = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
_SPECIAL_FILES |= {stat.S_IFCHR: "device", stat.S_IFBLK: "device"}

MAX_BYTES = 1 << 28
"""Largest file that is read whole unless its kind has another bound: 256 MiB, more than any record of the project."""

_BLOCK_BYTES = 1 << 20

_PLACEHOLDERS = (
    (rb"version https://git-lfs\.github\.com/spec/", "a Git LFS pointer and not the file itself: run `git lfs pull`"),
    (rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype html|html)\b", "a web page: get the file again"),
)
"""First bytes of files that are only placeholders of the real file, with what they are."""

_cleaned_folders: set[Path] = set()


def open_regular_file(path: str | Path) -> BinaryIO:
    """Open a regular file for reading; never blocks on a named pipe or another special file.

    Raises:
        OSError: the path is not a regular file or not a path, or cannot be opened.
    """
    return open(_checked_name(path), "rb", opener=_open_regular)


def read_file(path: str | Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file; no more than one beyond the bound is ever read.

    Raises:
        OSError: the path is not a regular file, cannot be read, or has more than ``max_bytes`` bytes.
    """
    handle = _open_regular(_checked_name(path), os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:  # a file object would ask the system six things more
        size = os.fstat(handle).st_size
        content = os.read(handle, size + 1) if size <= max_bytes else b""
        if len(content) != size <= max_bytes:  # it has grown, states no size, or comes in parts
            with open(handle, "rb", closefd=False) as file:
                content += file.read(max_bytes + 1 - len(content))
    finally:
        os.close(handle)
    if max(size, len(content)) > max_bytes:
        raise OSError(errno.EFBIG, f"it has more than {max_bytes:,} bytes")
    return content


def read_blocks(file: BinaryIO) -> Iterator[bytes]:
    """The rest of an open file, in blocks of at most 1 MiB."""
    while block := file.read(_BLOCK_BYTES):
        yield block


def detect_placeholder(content: bytes) -> str | None:
    """What a placeholder file is and what to do about it, such as a Git LFS pointer; None for any other content."""
    return next((what for begins, what in _PLACEHOLDERS if re.match(begins, content[:512], re.IGNORECASE)), None)


def _checked_name(path: str | Path) -> str:
    if "\0" in (name := os.fspath(path)):
        raise OSError(errno.EINVAL, "its name contains a NUL")
    return name


def _open_regular(name: str, flags: int) -> int:
    """A handle of a regular file."""
    _require_regular(os.stat(name))  # noqa: PTH116 - a Path costs as much as the call
    handle = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        _require_regular(os.fstat(handle))  # it may have been replaced since
    except OSError:
        os.close(handle)
        raise
    return handle


def _require_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _SPECIAL_FILES.get(stat.S_IFMT(found.st_mode), "special file")
        raise OSError(errno.EISDIR if kind == "folder" else errno.EINVAL, f"it is a {kind}, not a file")


def write_atomic(path: Path, content: bytes | Iterable[bytes], durable: bool = True) -> None:
    """Write a file atomically: afterwards it is complete or unchanged, even after kill -9; its mode follows the umask.

    Blocks are written as they come; an error that they raise leaves the file unchanged, too.
    The first write of a process into a folder also removes abandoned temporary files there.

    Args:
        path: the file.
        content: the complete content.
        durable: whether it is on the disk with its name when this returns, so that a power failure does not lose it
            either. That takes milliseconds; ``ResultStore.flush`` does it for many files at once.
    """
    temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    try:
        with temporary.open("xb") as file:
            if path.parent not in _cleaned_folders:
                _cleaned_folders.add(path.parent)
                _remove_stale(path.parent, os.fstat(file.fileno()).st_mtime)
            file.writelines([content] if isinstance(content, bytes) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            _sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):  # a folder that cannot be written cannot be cleaned up either
            temporary.unlink()
        raise


def _create_folder(folder: Path, durable: bool = True) -> None:
    """Create a folder and those above it; durable as in ``write_atomic``."""
    if not folder.is_dir():
        _create_folder(folder.parent, durable)
        with contextlib.suppress(FileExistsError):  # a file of that name: what is in it is "not a directory"
            folder.mkdir()
        if durable:
            _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, on file systems that can."""
    with contextlib.suppress(PermissionError):  # Windows opens no folders, and not every writable one is readable
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(handle)


def save(path: Path, content: bytes, what: str, hint: str, durable: bool = True) -> None:
    """Write a file atomically and create missing parent folders.

    Args:
        path: the file.
        content: the complete content.
        what: what the file is called in the error message.
        hint: what to do if it cannot be written.
        durable: as in ``write_atomic``.

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        _create_folder(path.parent, durable)
        write_atomic(path, content, durable)
    except OSError as error:
        raise write_error(what, path, error, hint) from None


def require_writable(folder: Path, what: str, hint: str) -> None:
    """Create a folder and check that files can be written there, before time is spent on computing them.

    Raises:
        StorageError: the folder cannot be created or written.
    """
    try:
        _create_folder(folder)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise write_error(what, folder, error, hint) from None


def _remove_stale(folder: Path, now: float) -> None:
    """Remove abandoned temporary files; ``now`` is the file system's time, which may be that of a server."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(TEMPORARY_PREFIX):
                with contextlib.suppress(OSError):  # another process removed it, or owns it
                    if now - entry.stat(follow_symlinks=False).st_mtime > STALE_SECONDS:
                        Path(entry.path).unlink()


def list_paths(folder: Path, pattern: str, hint: str = PERMISSIONS_HINT) -> list[Path]:
    """Sorted paths under a folder that match a pattern such as ``cells/*/*.json``; empty if the folder does not exist.

    Hidden names are left out, such as the ``._name`` that macOS writes next to ``name`` on other file systems.
    Unlike ``Path.glob``, which silently skips unreadable folders, this raises an error.

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
        raise read_error(folder, error, hint) from None
    found = [folder / name for name in names if fnmatchcase(name, first)]
    return sorted(path for inner in found for path in list_paths(inner, rest, hint)) if rest else sorted(found)


def content_digest(files: Iterable[tuple[str, Path]]) -> str:
    """sha256 over the names and contents of files, independent of their location."""
    digest = hashlib.sha256()
    for name, path in files:
        with open_regular_file(path) as file:
            digest.update(f"{name}\0{os.fstat(file.fileno()).st_size}\0".encode())
            for block in read_blocks(file):
                digest.update(block)
    return digest.hexdigest()


def walk_files(folder: Path, broken_links: bool = False) -> list[tuple[str, Path]]:
    """Sorted (relative name, path) of the files under a folder, without hidden files and compiled caches.

    Links to folders are not followed. ``broken_links`` includes links to what does not exist.

    Raises:
        OSError: a folder cannot be read.
    """

    def unreadable_folder(error: OSError) -> None:
        raise error

    found = []
    for inner, folders, names in os.walk(folder, onerror=unreadable_folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        above = Path(inner).relative_to(folder).as_posix()
        prefix = "" if above == "." else f"{above}/"
        paths = [Path(inner, name) for name in names if not name.startswith(".") and not name.endswith(".pyc")]
        found += [(prefix + p.name, p) for p in paths if p.is_file() or (broken_links and not p.exists())]
    return sorted(found)


def expand_user(path: Path) -> Path:
    """Expand ``~`` and ``~name`` in a path.

    Raises:
        StorageError: the home folder does not exist.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise StorageError(f"{path} cannot be expanded: no such home folder", "give the full path") from None


def write_error(what: str, path: Path, error: OSError, hint: str) -> StorageError:
    """The error for a file that cannot be written; a full disk adds 'free some space' to the hint."""
    prefix = "free some space, or " if error.errno in NO_SPACE_ERRNOS else ""
    return StorageError(f"{what} cannot be written to {path}: {os_reason(error)}", prefix + hint)


def read_error(path: Path, error: OSError, hint: str = PERMISSIONS_HINT) -> StorageError:
    """The error for a file or folder that cannot be read."""
    if isinstance(error, FileNotFoundError):
        hint = near_path(path) if hint == PERMISSIONS_HINT else reading_hint(path, error, hint)
    return StorageError(f"{path} cannot be read: {os_reason(error)}", hint)


def reading_hint(path: Path, error: OSError, hint: str) -> str:
    """The hint for a file that cannot be read: what is there instead, its permissions, or ``hint``."""
    if isinstance(error, FileNotFoundError):
        return f"{near_path(path)}; {hint}"
    return PERMISSIONS_HINT if isinstance(error, PermissionError) else hint
