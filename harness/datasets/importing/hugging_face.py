"""Read a Hugging Face data set through the library ``datasets``, from the Hub or from a folder of ``save_to_disk``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from harness.datasets.image_bytes import read_bytes
from harness.datasets.importing.part_names import find_part
from harness.datasets.importing.rows import require_columns, row_sample
from harness.datasets.importing.sample import Columns, ImageSample, Source
from harness.errors import DataError, UserError
from harness.parsing import parsing

HUB = "hf-hub:"
"""Prefix of the name of a data set on the Hub."""

SAVED = ("dataset_dict.json", "state.json")
"""One of these is in a folder of ``save_to_disk``."""


def read_hugging_face(source: str, columns: Columns) -> Source:
    """The rows of all splits that are called train, val or test, in any of their usual names.

    Args:
        source: ``hf-hub:OWNER/NAME``, or the path of a folder.
        columns: names of the columns; those of splits and captions may be missing.

    Raises:
        DataError: the data set cannot be loaded, or a row has no class.
        UserError: the library is not installed, or a column is missing.
    """
    samples: list[ImageSample] = []
    left: list[str] = []
    for name, rows in _load(source).items():
        require_columns(f"split {name}", rows.column_names, columns)
        if find_part(name):
            samples += _samples(name, rows, columns)
        else:
            left.append(name)
    notes = [f"split {name} is neither train, val nor test: left out" for name in left]
    return Source("Hugging Face data set", tuple(samples), tuple(notes))


def _load(source: str) -> dict[str, Any]:
    """Split -> its rows, images as bytes."""
    try:
        import datasets
    except ImportError:
        raise UserError(
            "Hugging Face data sets need the package datasets", 'pip install "laion-beyond-harness[datasets]"'
        ) from None
    with parsing(f"{source} cannot be loaded as a Hugging Face data set"):
        if source.startswith(HUB):
            loaded = datasets.load_dataset(source.removeprefix(HUB))
        else:
            loaded = datasets.load_from_disk(source)
        return dict(loaded) if isinstance(loaded, dict) else {str(loaded.split or "train"): loaded}


def _samples(split: str, rows: Any, columns: Columns) -> Iterator[ImageSample]:
    from datasets import Image

    with parsing(f"split {split}: the column {columns.image!r} has no images"):
        images = rows.cast_column(columns.image, Image(decode=False)).select_columns([columns.image])
    wanted = {columns.classname, columns.split, columns.caption} & set(rows.column_names)
    names = getattr(rows.features[columns.classname], "names", None) or ()
    for number, row in enumerate(rows.select_columns(sorted(wanted))):
        where, value = f"{split} row {number + 1}", row[columns.classname]
        if names and isinstance(value, int):  # -1 stands for no class
            row = {**row, columns.classname: names[value] if 0 <= value < len(names) else None}
        read = partial(_read, images, columns.image, number, where)
        yield row_sample(where, {columns.split: split, **row}, columns, f"{split}-{number:08d}", read)


def _read(images: Any, column: str, number: int, where: str) -> bytes:
    """The bytes of one image.

    Raises:
        DataError: there is none, or its file cannot be read.
    """
    with parsing(f"{where}: the image cannot be read"):
        value = images[number][column] or {}
    if value.get("bytes"):
        return bytes(value["bytes"])
    if value.get("path"):
        return read_bytes(Path(value["path"]), f"{where}: {PurePosixPath(value['path']).name}")
    raise DataError(f"{where}: there is no image")
