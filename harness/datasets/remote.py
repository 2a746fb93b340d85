"""Files on a server with their checksums, and errors that say whether to try again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import Protocol, TypeVar

from pydantic import Field

from harness.datasets.disk import unsafe_reason
from harness.errors import DataError
from harness.files import detect_placeholder
from harness.types.cell import Record

T = TypeVar("T")

MAX_WAIT_S = 3600.0
"""Seconds; a server that asks to wait longer is not waited for. The Hub's limits reset after 300."""

_LIMIT = 1 << 63
"""Sizes and positions are below: no file system has larger files."""

PORTAL = "a web page: log in to this network in a browser, or check the proxy"
"""What a captive portal or a proxy sends in place of everything."""


class RemoteFile(Record):
    """A file of a data set on a server.

    Attributes:
        path: from the root of the data set, such as ``Food53_OOP/images/rose/1.jpg``.
        size: in bytes.
        checksum: ``sha256:`` and 64 digits, or ``git-sha1:`` and the 40 of the file's git blob.
        xet: its hash in Xet storage, if it is stored there.
        archive: path of the tar archive that contains it, on a mirror.
        offset: position of its first byte in the archive.
    """

    path: str
    size: int = Field(strict=True, ge=0, lt=_LIMIT)
    checksum: str = Field(pattern=r"^(sha256:[0-9a-f]{64}|git-sha1:[0-9a-f]{40})$")
    xet: str | None = None
    archive: str | None = None
    offset: int = Field(default=0, strict=True, ge=0, lt=_LIMIT)

    def verified(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass on blocks of bytes, and check at their end that they are this file.

        Raises:
            FileFault: they are another file; raised as soon as there are too many of them.
        """
        kind, _, expected = self.checksum.partition(":")
        digest, size, head = _start_digest(kind, self.size), 0, b""
        for block in blocks:
            size, head = size + len(block), head or block
            if size > self.size:
                break
            digest.update(block)
            yield block
        if size == self.size and digest.hexdigest() == expected:
            return
        if "web page" in (detect_placeholder(head) or ""):
            raise FileFault(f"{self.path}: the server sent {PORTAL}")
        if size != self.size:
            raise FileFault(f"{self.path}: the server sent another size than the {self.size:,} bytes that it lists")
        raise FileFault(f"{self.path}: the server sent other bytes than it lists: their {kind} differs")


def _start_digest(kind: str, size: int) -> hashlib._Hash:
    """A digest of ``size`` bytes that are still to come; git's covers their number too."""
    if kind == "sha256":
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def is_inside(path: str, folder: str) -> bool:
    """Whether a path that a server lists stays in its folder."""
    names = PurePosixPath(path).parts
    return len(names) > 1 and names[0] == folder and not any(unsafe_reason(name) for name in names)


class RemoteBusy(Exception):  # noqa: N818 - a state, not an error: retry
    """The server cannot answer at the moment: too many requests, a server error or no connection.

    Args:
        reason: what happened.
        retry_after: seconds to wait by the server's response, if given.
        status: the HTTP status; None without a connection.
    """

    def __init__(self, reason: str, retry_after: float | None = None, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.status = status


class FileFault(Exception):  # noqa: N818 - the download continues with the other files
    """One file cannot be fetched, whatever happens to the others."""


class Remote(Protocol):
    """A data set on a server. Calls raise RemoteBusy if a retry may help, and a HarnessError otherwise."""

    name: str

    def commit(self, revision: str) -> str:
        """The commit of a branch, tag or commit."""

    def names(self, commit: str) -> list[str]:
        """Files and folders at the top of the data set."""

    def files(self, folder: str, commit: str) -> list[RemoteFile]:
        """All files under a folder."""

    def find(self, paths: Sequence[str], commit: str) -> list[RemoteFile]:
        """The existing files among some paths."""

    def fetch(self, files: Sequence[RemoteFile], commit: str) -> Iterator[tuple[RemoteFile, Iterator[bytes]]]:
        """Yield files, which are one file or in one archive, with their content in blocks.

        The blocks of a file are read before the next file, or never. Both iterators may raise FileFault.
        """

    def advice(self, files: Sequence[RemoteFile]) -> str | None:
        """What to know before all these files are fetched, such as the server's limit."""


_DOWNLOAD_HINT = (
    "check the network and run the same command again: it resumes the download; --offline uses the existing files"
)


def retry(call: Callable[[], T], sleep: Callable[[float], None], tries: int, hint: str = _DOWNLOAD_HINT) -> T:
    """Call until the server answers, waiting as long as it requests, else 1, 2, 4 ... 60 s.

    Raises:
        DataError: the server is busy or out of reach at every try, or asks to wait longer than ``MAX_WAIT_S``.
    """
    for attempt in range(tries):
        try:
            return call()
        except RemoteBusy as busy:
            wait = min(2.0**attempt, 60.0) if busy.retry_after is None else busy.retry_after
            if wait > MAX_WAIT_S:
                raise DataError(f"the server asks to wait {wait / 3600:,.0f} hours: {busy.reason}", hint) from busy
            if attempt == tries - 1:
                raise DataError(f"the server did not answer after {tries} tries: {busy.reason}", hint) from busy
            sleep(wait)
    raise AssertionError("unreachable")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the ``Retry-After`` header (seconds or a date) or the Hub's ``RateLimit`` header."""
    value = (headers.get("retry-after") or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return float(value)
    if value:
        try:
            return max(0.0, (parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds())
        except (ValueError, TypeError, OverflowError):
            return None
    reset = re.search(r"\br=0\b.*\bt=([0-9]+)", headers.get("ratelimit") or "")
    return float(reset[1]) if reset else None
