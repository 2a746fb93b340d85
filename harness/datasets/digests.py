"""Cache of file digests (sha256), so that a second run does not read the whole data set again.

The digest of an image decides which cached features it gets, so a digest counts only with the mark of this user.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path

from harness.datasets.image_bytes import file_digest
from harness.datasets.map_in_threads import map_in_threads
from harness.errors import DataError
from harness.folders import writable_cache
from harness.user_key import mark

SETTLED_S = 2.0
"""A file that changed less than this many seconds ago is not cached: it may change again with the same time stamp."""

LOCK_TIMEOUT_S = 5.0
"""Seconds to wait for a locked index; a write takes far less, and a hanging process may hold the lock forever."""

_BATCH = 500  # files per write; an interrupted run loses at most this many

_Key = tuple[bytes, int, int, int, int]  # absolute path, size, mtime_ns, ctime_ns, inode

_SCHEMA = """CREATE TABLE IF NOT EXISTS digests (
    path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER, sha256 TEXT, mark TEXT
) WITHOUT ROWID"""


def open_index(cache: Path) -> DigestIndex:
    """This user's index in a cache folder, or in the user's own in place of one that cannot be written."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    return DigestIndex(writable_cache(cache) / f"digests-{user}.sqlite")


class DigestIndex:
    """Digests by absolute path, size, times and inode, in one SQLite file that processes of a user may share.

    The index is optional: if it cannot be read or written, digests stay in memory, and a damaged index is replaced. If
    another process locks it, ``digests`` waits once and then does without it.

    Args:
        path: the index file, in the user's cache folder; created with its folder on first use.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._memory: dict[_Key, str] = {}
        self._locked = False

    def digests(
        self, paths: Sequence[Path | str], workers: int = 2, progress: Callable[[int, int], None] | None = None
    ) -> list[str | DataError]:
        """The sha256 of each file in the order of ``paths``, or the error for a file that cannot be read.

        Args:
            paths: the files.
            workers: threads that read and hash.
            progress: called with (processed files, total files) from the calling thread.
        """
        result: list[str | DataError] = []
        rest = iter(paths)
        while batch := list(islice(rest, _BATCH)):
            keys = [_file_key(path) for path in batch]
            known = self._lookup([key for key in keys if key])
            new = [i for i, key in enumerate(keys) if key is None or key not in known]
            hashed = dict(zip(new, map_in_threads(_digest_or_error, [batch[i] for i in new], workers), strict=True))
            self._store(dict(_settled_digests(batch, keys, hashed)))
            for i, key in enumerate(keys):
                result.append(known[key] if key in known and key is not None else hashed[i])
            if progress:
                progress(len(result), len(paths))
        return result

    def _lookup(self, keys: list[_Key]) -> dict[_Key, str]:
        known = {key: self._memory[key] for key in keys if key in self._memory}
        with self._connection() as connection:
            if connection is not None and keys:
                marks = ",".join("?" * len(keys))
                query = f"SELECT * FROM digests WHERE path IN ({marks})"
                for *key, sha256, given in connection.execute(query, [key[0] for key in keys]):
                    if isinstance(given, str) and given == _mark(key, sha256):
                        known[tuple(key)] = sha256
        return known

    def _store(self, found: dict[_Key, str]) -> None:
        if not found:
            return
        stored = False
        with self._connection() as connection:
            if connection is not None:
                rows = [(*key, sha256, _mark(key, sha256)) for key, sha256 in found.items()]
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                stored = True
        if not stored:
            self._memory.update(found)

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
            connection.execute(_SCHEMA)
        except sqlite3.Error as error:
            connection.close()
            if not (again and _is_damaged(error)):
                raise
            self.path.unlink(missing_ok=True)
            return self._connect(again=False)
        return connection


def _mark(key: Iterable[object], sha256: object) -> str:
    return mark("digest", repr(tuple(key)), repr(sha256))


def _is_locked(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(
        error
    )  # error codes: only from Python 3.11 on


def _is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file is damaged; locks, read-only and full disks are operational errors of an intact file."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def _file_key(path: Path | str) -> _Key | None:
    """Identity of a file for which a cached digest is valid, or None if it cannot be read.

    It makes no ``Path`` of an absolute text: that takes longer than the system's answer.
    """
    try:
        stat = os.stat(path)  # noqa: PTH116
        whole = os.fsencode(path if os.path.isabs(path) else Path(path).absolute())  # noqa: PTH117
        return whole, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
    except (OSError, ValueError):
        return None


def _settled_digests(
    paths: list[Path | str], keys: list[_Key | None], hashed: dict[int, str | DataError]
) -> Iterator[tuple[_Key, str]]:
    """The new digests that may be cached: of files that changed neither recently nor while they were read."""
    for i, value in hashed.items():
        key = keys[i]
        if key is None or isinstance(value, DataError) or _file_key(paths[i]) != key:
            continue
        if time.time_ns() - max(key[2], key[3]) >= SETTLED_S * 1e9:
            yield key, value


def _digest_or_error(path: Path | str) -> str | DataError:
    try:
        return file_digest(path)
    except DataError as error:
        return error
