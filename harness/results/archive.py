"""Read a submission or packed artifacts: a zip from anywhere, whose sizes are bounded before anything is unpacked."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from harness.errors import DataError, os_reason
from harness.files import open_regular_file, read_file
from harness.parsing import parsing

MAX_BYTES = 1 << 27
"""Largest archive; one row of LAION-Beyond takes a hundredth of it."""

MAX_UNPACKED = 1 << 28
"""Bytes of all members together."""

MAX_MEMBERS = 10_000
"""A row of ten domains has this many with five hundred seeds."""

PACKED = "artifacts.zip"
"""Next to a leaderboard file: what its rows rest on, in place of folders."""

HINT = "transfer it again; `harness leaderboard submit` and `pack` write such files"

_ENTRY = b"PK\x01\x02"  # begins each entry of a zip's table of contents


def is_archive(path: Path) -> bool:
    """Whether a file is a zip archive, complete or cut off."""
    try:
        with open_regular_file(path) as file:
            return file.read(2) == b"PK"
    except OSError:
        return False  # reading it as a leaderboard says why


class Archive:
    """The members of a zip archive in memory.

    Raises:
        DataError: it is unreadable or damaged, holds too much, or is packed in a way that ``submit`` never uses.
    """

    def __init__(self, path: Path) -> None:
        problem = f"{path} is a damaged archive"
        try:
            content = read_file(path, MAX_BYTES)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {os_reason(error)}", HINT) from None
        if content.count(_ENTRY) > MAX_MEMBERS:
            raise DataError(f"{problem}: it has more than {MAX_MEMBERS:,} members", HINT)
        with parsing(problem, HINT):
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        members = self._zip.infolist()
        self.sizes = {member.filename: member.file_size for member in members}
        if sum(member.file_size for member in members) > MAX_UNPACKED:
            raise DataError(f"{problem}: its members take more than {MAX_UNPACKED:,} bytes", HINT)
        if len(self.sizes) < len(members):
            raise DataError(f"{problem}: two members have one name", HINT)
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise DataError(f"{problem}: its members are not packed with deflate", HINT)

    def read(self, name: str) -> bytes | None:
        """The content of a member; None if it is missing or damaged."""
        if name not in self.sizes:
            return None
        try:
            with parsing(name):
                return self._zip.read(name)
        except DataError:
            return None
