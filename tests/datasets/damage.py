"""Damage one folder in one place, and expect the reader's sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.datasets.folder_reader import read_splits
from harness.errors import DataError

OOP = "Animals6_OOP"


def change(field: str, value: Any, part: str = "test", key: str = "17") -> Callable[[dict[str, Any]], None]:
    """An edit of one item of the split file."""
    return lambda split: split[part][key].__setitem__(field, value)


def fails(folder: Path, part_of_message: str) -> DataError:
    """Reading the folder is one sentence with this in it."""
    with pytest.raises(DataError) as error:
        read_splits(folder)
    assert part_of_message in error.value.message
    assert "\n" not in error.value.message
    return error.value
