"""What other data sets call the parts train, val and test."""

from __future__ import annotations

import re
from typing import get_args

from harness.types.split import Part

_PARTS: dict[str, Part] = {
    **{part: part for part in get_args(Part)},
    **dict.fromkeys(("training",), "train"),
    **dict.fromkeys(("valid", "validation", "dev"), "val"),
    **dict.fromkeys(("testing", "eval"), "test"),
}


def find_part(name: str) -> Part | None:
    """The part that a name means, whatever its case; None for any other name."""
    return _PARTS.get(name.strip().lower())


def part_of_file(stem: str) -> Part | None:
    """The part that the file name of a shard begins with, such as ``train-00000-of-00004``."""
    return find_part(re.split(r"[^A-Za-z]", stem, maxsplit=1)[0])
