"""Which rows were verified, and against what: ``verified.json`` beside a leaderboard file.

A mark holds for the row exactly as it was checked: it names the row's sha256, so an edited row has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from harness.files import read_file, save
from harness.types.cell import Record

FILE = "verified.json"

Against = Literal["data", "labels"]
"""``data``: the images' own folder was read; ``labels``: the labels that were kept with the predictions."""


class Marks(Record):
    """A file of marks."""

    format: Literal["laion-beyond-verified/1"] = "laion-beyond-verified/1"
    rows: dict[str, Against]


def read_marks(folder: Path) -> dict[str, Against]:
    """Content hash of a row -> what it was verified against; nothing where the file is missing or damaged."""
    try:
        return dict(Marks.model_validate_json(read_file(folder / FILE)).rows)
    except (OSError, ValidationError):
        return {}


def write_marks(folder: Path, marks: Mapping[str, Against]) -> None:
    """Write the marks atomically.

    Raises:
        StorageError: the folder cannot be written.
    """
    content = Marks(rows=dict(sorted(marks.items()))).model_dump_json(indent=1) + "\n"
    save(folder / FILE, content.encode(), "marks of verified rows", "use --no-mark")
