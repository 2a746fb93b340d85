"""One row of a table, or one record of an archive, as a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from harness.datasets.image_bytes import read_bytes
from harness.datasets.importing.part_names import find_part
from harness.datasets.importing.sample import Columns, ImageSample
from harness.errors import DataError, UserError
from harness.parsing import parsing
from harness.types.split import Part


def require_columns(where: str, there: Sequence[str], columns: Columns) -> None:
    """Check that a table has images and classes, and no column twice that is read.

    Raises:
        UserError: a column is missing, or there are several of its name.
    """
    for option, name in (("--image-column", columns.image), ("--class-column", columns.classname)):
        if name not in there:
            known = ", ".join(there) or "none"
            raise UserError(f"{where} has no column {name!r}; its columns are {known}", f"name it with {option}")
    for name in (columns.image, columns.classname, columns.split, columns.caption):
        if there.count(name) > 1:
            raise UserError(f"{where} has several columns {name!r}", "rename or remove all but one")


def row_sample(
    where: str, row: Mapping[str, Any], columns: Columns, file: str, read: Callable[[], bytes], path: Path | None = None
) -> ImageSample:
    """The sample of a row; ``file``, ``read`` and ``path`` are of its image.

    Raises:
        DataError: it has no class, an unknown split, or a value that is no text.
    """
    classname = _text(row.get(columns.classname), f"{where}: the class")
    if classname is None:
        raise DataError(f"{where} has no class", "give every image a class, or remove the row")
    caption = _text(row.get(columns.caption), f"{where}: the caption")
    return ImageSample(where, file, classname, read, _part(row, columns, where), caption, path)


def path_sample(where: str, row: Mapping[str, Any], columns: Columns, folder: Path, image: str) -> ImageSample:
    """The sample of a row whose image is a file, with a path from a folder.

    Raises:
        DataError: it has no image or class, or an unknown split.
    """
    if not image.strip():
        raise DataError(f"{where} has no image", "give every row the path of its image, or remove the row")
    path = folder / image.strip()
    read = partial(read_bytes, path, f"{where}: {image.strip()}")
    return row_sample(where, row, columns, PurePosixPath(image.strip()).name, read, path)


def _part(row: Mapping[str, Any], columns: Columns, where: str) -> Part | None:
    stated = _text(row.get(columns.split), f"{where}: the split")
    if stated is None:
        return None
    if (part := find_part(stated)) is None:
        raise DataError(f"{where} is in the split {stated!r}", "splits are train, val and test")
    return part


def _text(value: Any, what: str) -> str | None:
    """A cell as text; None if it is empty. Of a list, such as several captions, the first.

    Raises:
        DataError: it is neither a text nor a whole number.
    """
    if isinstance(value, list):
        value = next(iter(value), None)
    if isinstance(value, bytes):
        with parsing(what, "store texts in UTF-8"):
            value = value.decode()
    if not isinstance(value, str | int | None):
        raise DataError(f"{what} is {str(value)[:50]}, not a text or a whole number", "store texts, or choose a column")
    return ("" if value is None else str(value).strip()) or None
