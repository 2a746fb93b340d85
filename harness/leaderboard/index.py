"""The index of a results folder: of which cells each row of its leaderboard file was made.

With it an update reads new cells only, and copies unchanged rows from the leaderboard file. It is only a shortcut:
without it, or if it is damaged, of other code or of another leaderboard file, everything is read again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pydantic
from pydantic import TypeAdapter

import harness
from harness.errors import DataError
from harness.file_stamp import Stamp
from harness.files import content_digest, read_file, walk_files
from harness.parsing import parse_json
from harness.results.costs import RowCost
from harness.results.leaderboard_file import BOARD

INDEX = "index.json"
"""Next to the leaderboard file: the sha256 of the rest, and in the next line JSON."""

MAX_BYTES = 1 << 32
MAX_VALUES = 1 << 26
"""Of a file that has the sha256 which this harness wrote into it."""

NEVER = Stamp(0, 0, 0, 0)
"""In place of the stamp of a file that is read again next time."""


class IndexedCell(NamedTuple):
    """A cell that was read: the state of its file, its digest, and its place in a row."""

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


@dataclass
class Group:
    """The cells with one ``row_key``, and their rows.

    Attributes:
        setting: digest of the setting key.
        seedless: whether the cells depend on no seed.
        cells: finished and failed ones, by the names of their files.
        made_of: ``signature`` when the rows were made.
        rows: in the leaderboard file; none if the group is not shown.
    """

    setting: str
    seedless: bool
    cells: dict[str, IndexedCell] = field(default_factory=dict)
    made_of: str = ""
    rows: list[IndexedRow] = field(default_factory=list)

    def signature(self, setting: str) -> str:
        """Digest of all that decides the rows: cells, what a complete row covers, and records of corpora."""
        return sha256(json.dumps([setting, sorted((file, cell.sha256) for file, cell in self.cells.items())]).encode())


@dataclass
class _Content:
    code: str
    board: str
    groups: dict[str, Group]


_FILE = TypeAdapter(_Content)


@dataclass
class Index:
    """The groups of a results folder by the digests of their row keys, and the leaderboard file that has their rows."""

    board: bytes = b""
    groups: dict[str, Group] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Index:
        """The index of a results folder; an empty one if it cannot be used."""
        try:
            digest, _, text = read_file(folder / INDEX, MAX_BYTES).partition(b"\n")
            if digest.decode() != sha256(text):
                return cls()
            content: _Content = parse_json(
                text, f"{INDEX} is damaged", max_values=MAX_VALUES, parse=_FILE.validate_json
            )
            board = read_file(folder / BOARD, MAX_BYTES)
        except (OSError, UnicodeError, DataError):
            return cls()
        return cls(board, content.groups) if (content.code, content.board) == (_code(), sha256(board)) else cls()

    def content(self) -> bytes:
        """The content of the index file."""
        text = _FILE.dump_json(_Content(_code(), sha256(self.board), self.groups))
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
