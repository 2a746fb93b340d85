"""The index of a results folder: of which cells each row of its leaderboard file was made.

With it an update reads new cells only, and copies unchanged rows from the leaderboard file. It is only a shortcut:
without it, or if it is damaged, of other code or of another leaderboard file, everything is read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pydantic

import harness
from harness.errors import DataError
from harness.file_stamp import Stamp
from harness.files import content_digest, read_file, walk_files
from harness.parsing import parse_json
from harness.results.costs import RowCost
from harness.results.leaderboard_file import BOARD
from harness.types.cell import Record, Sha256

INDEX = "index.json"
"""Next to the leaderboard file: the sha256 of the rest, and in the next line JSON."""

MAX_BYTES = 1 << 32
MAX_VALUES = 1 << 26
"""Of a file that has the sha256 which this harness wrote into it."""

NEVER = Stamp(0, 0, 0, 0)
"""In place of the stamp of a file that is read again next time."""


class IndexedCell(NamedTuple):
    """A cell that was read: its file's name and state, its digest, and its place in a row."""

    file: str
    stamp: Stamp
    sha256: str
    domain: str
    seed: int


class IndexedRow(NamedTuple):
    """A row: its place in the leaderboard file in bytes, its id, and its cost."""

    start: int
    end: int
    id: str
    cost: RowCost | None


class IndexedGroup(Record):
    """The cells with one ``row_key``, and their rows.

    Attributes:
        key: digest of the row key.
        setting: digest of the setting key.
        seedless: whether the cells depend on no seed.
        cells: finished and failed ones.
        made_of: digest of everything that decides the rows.
        rows: in the leaderboard file; none if the group is not shown.
    """

    key: Sha256
    setting: Sha256
    seedless: bool
    cells: tuple[IndexedCell, ...]
    made_of: str
    rows: tuple[IndexedRow, ...]


class _Content(Record):
    code: Sha256
    board: Sha256
    groups: tuple[IndexedGroup, ...]


@dataclass(frozen=True)
class Index:
    """The groups of a results folder, with the leaderboard file that holds their rows; empty if nothing is known."""

    board: bytes = b""
    groups: Sequence[IndexedGroup] = ()

    @classmethod
    def read(cls, folder: Path) -> Index:
        """The index of a results folder; an empty one if it cannot be used."""
        try:
            digest, _, text = read_file(folder / INDEX, MAX_BYTES).partition(b"\n")
            if digest.decode() != sha256(text):
                return cls()
            parse = _Content.model_validate_json
            content: _Content = parse_json(text, f"{INDEX} is damaged", max_values=MAX_VALUES, parse=parse)
            board = read_file(folder / BOARD, MAX_BYTES)
        except (OSError, UnicodeError, DataError):
            return cls()
        return cls(board, content.groups) if (content.code, content.board) == (_code(), sha256(board)) else cls()

    def content(self) -> bytes:
        """The content of the index file."""
        made = _Content(code=_code(), board=sha256(self.board), groups=tuple(self.groups))
        text = made.model_dump_json().encode()
        return sha256(text).encode() + b"\n" + text


def sha256(content: bytes) -> str:
    """The sha256 of bytes."""
    return hashlib.sha256(content).hexdigest()


@cache
def _code() -> str:
    """Digest of the code that makes rows: that of the harness, and the library that writes them."""
    files = walk_files(Path(harness.__file__).parent)
    code = content_digest((name, path) for name, path in files if path.suffix == ".py")
    return sha256(f"{code} {pydantic.VERSION}".encode())
