"""Cache of file digests (sha256), so that a second run does not read the whole data set again.

The digest of an image decides which cached features it gets, so a digest counts only with the mark of this user.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from harness.datasets.image_bytes import file_digest
from harness.datasets.map_in_threads import map_short
from harness.errors import DataError
from harness.file_stamp import Stamp
from harness.folders import writable_cache
from harness.user_key import has_mark, mark

SETTLED_S = 2.0
"""A file that changed less than this many seconds before it is looked at is not cached.

It may change again with the same time stamp, also while files are read that take longer than this.
"""

LOCK_TIMEOUT_S = 5.0
"""Seconds to wait for a locked index; a write takes far less, and a hanging process may hold the lock forever."""

_BATCH = 500  # files per write; an interrupted run loses at most this many

_Digests = dict[str, tuple[str, str]]  # name of a file -> its stamp, sha256

_SCHEMA = """CREATE TABLE IF NOT EXISTS folders (path BLOB PRIMARY KEY, files BLOB, mark TEXT) WITHOUT ROWID"""


class _Place(NamedTuple):
    """Where a file is, and the state in which its digest is valid.

    Attributes:
        folder: absolute, ends with a separator.
        name: in the folder.
        stamp: what ``Stamp`` has, as text.
    """

    folder: str
    name: str
    stamp: str


def open_index(cache: Path) -> DigestIndex:
    """This user's index in a cache folder, or in the user's own in place of one that cannot be written."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    return DigestIndex(writable_cache(cache) / f"digests-{user}.sqlite")


class DigestIndex:
    """Digests by path and ``Stamp``, in one SQLite file that processes of a user may share.

    A row has all files of a folder, so that a data set takes as many look-ups and marks as it has folders.

    The index is optional: if it cannot be read or written, digests stay in memory, and a damaged index is replaced. If
    another process locks it, ``digests`` waits once and then does without it. Of two processes that add files of the
    same folder at the same time, the files of one are hashed again by a later run.

    Args:
        path: the index file, in the user's cache folder; created with its folder on first use.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._memory: dict[str, _Digests] = {}
        self._locked = False

    def digests(
        self,
        paths: Sequence[Path | str],
        workers: int = 2,
        progress: Callable[[int, int], None] | None = None,
        digest_of: Callable[[Path | str], str] | None = None,
    ) -> list[str | DataError]:
        """The sha256 of each file in the order of ``paths``, or the error for a file that cannot be read.

        Args:
            paths: the files.
            workers: threads that read and hash.
            progress: called with (processed files, total files) from the calling thread.
            digest_of: hashes a file; without it they are images, which have a largest size.
        """
        begin = time.time_ns()
        places = _places(paths)
        folders = self._lookup({place.folder for place in places if place})
        found: list[str | DataError | None] = [place and _digest_of(folders[place.folder], place) for place in places]
        new = [i for i, digest in enumerate(found) if digest is None]
        new.sort(key=lambda i: str(paths[i]))  # a write then has few folders
        for start in range(0, len(new), _BATCH):
            if progress:
                progress(len(paths) - len(new) + start, len(paths))
            batch = new[start : start + _BATCH]
            hashed = map_short(partial(_digest_or_error, digest_of or file_digest), [paths[i] for i in batch], workers)
            changed = set()
            for i, digest in zip(batch, hashed, strict=True):
                found[i], place = digest, places[i]
                if place and isinstance(digest, str) and _is_settled(paths[i], place, begin):
                    folders[place.folder][place.name] = place.stamp, digest
                    changed.add(place.folder)
            self._store({folder: folders[folder] for folder in changed})
        if progress:
            progress(len(paths), len(paths))
        return [digest for digest in found if digest is not None]

    def _lookup(self, folders: Iterable[str]) -> dict[str, _Digests]:
        """The known digests of the files of each folder."""
        known = {folder: dict(self._memory.get(folder, {})) for folder in folders}
        wanted = [folder for folder in known if folder not in self._memory]
        with self._connection() as connection:
            if connection is not None:
                for folder in wanted:
                    row = connection.execute("SELECT files, mark FROM folders WHERE path = ?", [_bytes(folder)])
                    for files, given in row:
                        known[folder] = _parse(folder, files, given)
        return known

    def _store(self, changed: dict[str, _Digests]) -> None:
        if not changed:
            return
        stored = False
        with self._connection() as connection:
            if connection is not None:
                rows = [(_bytes(folder), *_row(folder, files)) for folder, files in changed.items()]
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO folders VALUES (?, ?, ?)", rows)
                stored = True
        if not stored:
            self._memory.update(changed)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection | None]:
        """The open index, or None. An SQLite error ends the block and is not raised: the index is optional."""
        try:
            connection = None if self._locked else self._connect()
        except (sqlite3.Error, OSError) as error:
            self._locked = _is_locked(error)
            connection = None
        if connection is None:
            yield None
            return
        with closing(connection):
            try:
                yield connection
            except sqlite3.Error as error:
                self._locked = _is_locked(error)
                if _is_damaged(error):
                    with suppress(OSError):  # it may belong to another user
                        self.path.unlink()

    def _connect(self, again: bool = True) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=LOCK_TIMEOUT_S)
        try:
            connection.execute("PRAGMA synchronous = OFF")  # what a power failure damages is replaced: rows have marks
            connection.execute(_SCHEMA)
        except sqlite3.Error as error:
            connection.close()
            if not (again and _is_damaged(error)):
                raise
            self.path.unlink(missing_ok=True)
            return self._connect(again=False)
        return connection


def _row(folder: str, files: _Digests) -> tuple[bytes, str]:
    """The content of a folder's row: what belongs to each file, one after another, with the mark of this user."""
    text = "/".join(part for name, found in files.items() for part in (name, *found))
    return _bytes(text), mark("digests", folder, text)


def _parse(folder: str, files: object, given: object) -> _Digests:
    """The digests of a folder's row; none if this user did not write it."""
    if not (isinstance(files, bytes) and isinstance(given, str)):
        return {}
    text = files.decode("utf-8", "surrogateescape")
    if not has_mark(given, "digests", folder, text):
        return {}
    parts = text.split("/")
    return dict(zip(parts[::3], zip(parts[1::3], parts[2::3], strict=True), strict=True))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_locked(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(
        error
    )  # error codes: only from Python 3.11 on


def _is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file is damaged; locks, read-only and full disks are operational errors of an intact file."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def _places(paths: Sequence[Path | str]) -> list[_Place | None]:
    """The place of each file, None for one that cannot be looked up."""
    folders: dict[str, str] = {}  # as given -> absolute
    found: list[_Place | None] = []
    for path in paths:
        given, separator, name = os.fspath(path).rpartition("/")
        try:
            stamp = _text(Stamp.of(path))
        except (OSError, ValueError):
            found.append(None)
            continue
        if given + separator not in folders:
            folders[given + separator] = f"{Path(given + separator).absolute()}/"
        found.append(_Place(folders[given + separator], name, stamp))
    return found


def _text(stamp: Stamp) -> str:
    return " ".join(map(str, stamp))


def _digest_of(files: _Digests, place: _Place) -> str | None:
    """The known digest of a file in its present state."""
    stamp, digest = files.get(place.name, ("", ""))
    return digest if stamp == place.stamp else None


def _is_settled(path: Path | str, place: _Place, begin: int) -> bool:
    """Whether a file changed neither in the seconds before ``begin`` nor since, so that its digest may be cached."""
    try:
        stamp = Stamp.of(path)
    except OSError:
        return False
    return _text(stamp) == place.stamp and begin - max(stamp.mtime_ns, stamp.ctime_ns) >= SETTLED_S * 1e9


def _digest_or_error(digest_of: Callable[[Path | str], str], path: Path | str) -> str | DataError:
    try:
        return digest_of(path)
    except DataError as error:
        return error
