"""Read a CSV or TSV file with paths of images."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from harness.datasets.importing.rows import path_sample, require_columns
from harness.datasets.importing.sample import Columns, ImageSample, Source
from harness.errors import DataError
from harness.files import read_error, read_file
from harness.parsing import parsing

SUFFIXES = (".csv", ".tsv")


def read_csv(path: Path, columns: Columns, images: Path | None = None) -> Source:
    """The rows of a table in UTF-8 with a header; fields are separated by commas, semicolons or tabs.

    Args:
        path: the file.
        columns: names of its columns; those of splits and captions may be missing.
        images: the folder that the paths start from; the file's own if None.

    Raises:
        DataError: it is damaged, or a row has no image or class, an unknown split, or too many fields.
        UserError: a column is missing.
        StorageError: it cannot be read.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise read_error(path, error, "a table in parquet may be larger") from None
    with parsing(f"{path.name} is damaged", "save it as UTF-8, with double quotes around fields"):
        return Source("CSV table", tuple(_samples(content.decode("utf-8-sig"), path, columns, images or path.parent)))


def _samples(text: str, path: Path, columns: Columns, folder: Path) -> list[ImageSample]:
    header = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",\t;", key=header.count), strict=True)
    require_columns(path.name, rows.fieldnames or (), columns)
    samples = []
    for number, row in enumerate(rows, start=1):
        where = f"{path.name} row {number}"
        if None in row:  # where DictReader puts fields without a column
            raise DataError(f"{where} has more fields than there are columns", "put double quotes around its texts")
        samples.append(path_sample(where, row, columns, folder, row[columns.image] or ""))
    return samples
