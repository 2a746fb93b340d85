"""Verification marks: which rows were verified, and against what, in ``verified.json``.

A mark names the sha256 of the row as it was verified, so an edited row has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from harness.errors import DataError
from harness.files import read_file, save
from harness.parsing import parse_record
from harness.types.cell import Record

FILE = "verified.json"

Against = Literal["data", "labels"]
"""``data``: the images' own folder was read; ``labels``: the labels that are stored with the predictions."""


class Marks(Record):
    """A file of marks."""

    format: Literal["laion-beyond-verified/1"] = "laion-beyond-verified/1"
    rows: dict[str, Against]


def read_marks(folder: Path) -> dict[str, Against]:
    """Content hash of a row -> what it was verified against; empty if the file is missing or damaged."""
    try:
        return dict(parse_record(Marks, read_file(folder / FILE), f"{FILE} is damaged").rows)
    except (OSError, DataError):
        return {}


def write_marks(folder: Path, marks: Mapping[str, Against]) -> None:
    """Write the marks atomically.

    Raises:
        StorageError: the folder cannot be written.
    """
    content = Marks(rows=dict(sorted(marks.items()))).model_dump_json(indent=1) + "\n"
    save(folder / FILE, content.encode(), "marks of verified rows", "use --no-mark")
