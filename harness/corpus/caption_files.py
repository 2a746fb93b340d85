"""Files of captions: found on this machine or anywhere that fsspec reaches, opened, and identified by content."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from harness.errors import HarnessError, StorageError, UserError, one_line
from harness.execution.shards import Shard
from harness.files import open_regular_file, read_blocks, read_error, walk_files
from harness.parsing import parsing
from harness.progress import pluralize

FORMATS = {"parquet": "parquet", "csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl", "txt": "txt"}
"""Suffix -> format."""

COMPRESSIONS = {"gz": "gzip", "zst": "zstd"}
"""Suffix -> compression, as Arrow calls it."""

_REMOTE_HINT = "check the address, the credentials, and that fsspec's package for it is installed, such as s3fs"


@dataclass(frozen=True)
class CaptionSource:
    """A file of captions that is not read yet.

    Attributes:
        path: as records name it: a path of this machine, or an address such as ``s3://bucket/part-0.parquet``.
        system: fsspec's file system of an address; None for this machine.
    """

    path: str
    system: Any = field(default=None, compare=False)

    @property
    def format(self) -> str:
        """``parquet``, ``csv``, ``tsv``, ``jsonl`` or ``txt``, by its suffix."""
        return FORMATS[self._suffixes()[-1]]

    @property
    def compression(self) -> str | None:
        """``gzip`` or ``zstd`` by a second suffix."""
        return COMPRESSIONS.get(self.path.rpartition(".")[2].lower())

    def _suffixes(self) -> list[str]:
        name, _, last = self.path.rpartition("/")[2].lower().rpartition(".")
        return [name.rpartition(".")[2]] if last in COMPRESSIONS else [last]

    def is_readable(self) -> bool:
        """Whether its suffix is that of a format."""
        return self._suffixes()[-1] in FORMATS

    @property
    def place(self) -> str:
        """The same for all paths of one file, links included."""
        return str(Path(self.path).resolve()) if self.system is None else self.path

    def is_file(self, path: Path) -> bool:
        """Whether it is this file of this machine."""
        return self.system is None and self.place == str(path.resolve())

    def stream(self) -> BinaryIO:
        """Open it for reading.

        Raises:
            StorageError: it cannot be opened.
        """
        try:
            if self.system is None:
                return open_regular_file(Path(self.path))
            return cast(BinaryIO, self.system.open(self.path, "rb"))
        except OSError as error:
            raise read_error(Path(self.path), error) from None
        except Exception as error:  # of any file system
            raise remote_error(self.path, error) from None

    def stamp(self) -> tuple[int, str]:
        """Its size in bytes, and what changes with its content: the time of change, or the etag.

        Raises:
            StorageError: it cannot be found.
        """
        try:
            if self.system is None:
                found = Path(self.path).stat()
                return found.st_size, str(found.st_mtime_ns)
            info = self.system.info(self.path)
        except OSError as error:
            raise read_error(Path(self.path), error) from None
        except Exception as error:
            raise remote_error(self.path, error) from None
        keys = ("ETag", "etag", "blob_id", "md5Hash", "LastModified", "last_modified", "mtime", "created")
        return int(info.get("size") or 0), str(next((info[key] for key in keys if info.get(key)), ""))

    def sha256(self) -> str | None:
        """The digest of a file of this machine; None for an address, which is identified by size and etag."""
        if self.system is not None:
            return None
        digest = hashlib.sha256()
        with self.stream() as file:
            for block in read_blocks(file):
                digest.update(block)
        return digest.hexdigest()


def find_sources(patterns: Iterable[str]) -> list[CaptionSource]:
    """The files of paths, folders, globs and addresses, sorted, each once, whatever its paths.

    Raises:
        UserError: there is no such file, or one has an unknown suffix.
        DataError: a path is not UTF-8.
        StorageError: an address cannot be reached.
    """
    found: dict[str, CaptionSource] = {}
    for pattern in (one.removeprefix("file://") for one in patterns):
        sources = _remote(pattern) if "://" in pattern else [CaptionSource(path) for path in _local(pattern)]
        if not sources:
            raise UserError(f"no file of captions matches {pattern}", f"files end in .{', .'.join(FORMATS)}")
        found.update((source.path, source) for source in sources)
    for source in found.values():
        with parsing(f"{source.path!r} cannot be named in a record", "rename the file"):
            source.path.encode()
        if not source.is_readable():
            raise UserError(
                f"{source.path} has none of the suffixes .{', .'.join(FORMATS)}", "add .gz or .zst if it is compressed"
            )
    once = {found[path].place: found[path] for path in sorted(found, reverse=True)}
    return sorted(once.values(), key=lambda source: source.path)


def choose_shard(sources: Sequence[CaptionSource], shard: str) -> list[CaptionSource]:
    """The files of shard ``i/n``: every n-th, from the i-th on.

    Raises:
        UserError: it is not such a fraction, or there are fewer files than shards.
    """
    part = Shard.parse(shard)
    chosen = list(sources[part.number - 1 :: part.of])
    if not chosen:
        files, shards = pluralize(len(sources), "files"), pluralize(len(sources), "shards")
        raise UserError(
            f"shard {shard} has no file: shards are of files, and the captions are in {files}",
            f"use at most {shards}, or split the files",
        )
    return chosen


def _local(pattern: str) -> list[str]:
    path = Path(pattern).expanduser()
    if path.is_dir():
        return [str(file) for _, file in walk_files(path) if CaptionSource(str(file)).is_readable()]
    if path.exists():
        return [str(path)]
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    return [name for name in names if Path(name).is_file()]


def _remote(pattern: str) -> list[CaptionSource]:
    import fsspec  # deferred: only addresses need it

    try:
        system, path = fsspec.core.url_to_fs(pattern)
        paths = system.glob(path) if glob.has_magic(path) else [path] if system.exists(path) else []
        return [CaptionSource(system.unstrip_protocol(one), system) for one in paths]
    except Exception as error:  # of any file system
        raise remote_error(pattern, error) from None


def remote_error(path: str, error: Exception) -> HarnessError:
    """The error for an address that cannot be read."""
    return StorageError(f"{path} cannot be read: {one_line(error)[:300] or type(error).__name__}", _REMOTE_HINT)
