"""Read parquet files with images, or paths of images, such as those of the Hugging Face Hub."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from harness.datasets.image_bytes import read_bytes
from harness.datasets.importing.part_names import part_of_file
from harness.datasets.importing.rows import path_sample, require_columns, row_sample
from harness.datasets.importing.sample import Columns, ImageSample, Source
from harness.errors import DataError, UserError
from harness.files import open_regular_file, read_error
from harness.parsing import parsing

_OPEN_GROUPS = 2  # row groups in memory: while one is begun, threads still read the one before


def read_parquet(paths: Sequence[Path], columns: Columns, images: Path | None = None) -> Source:
    """The rows of parquet files. A file whose name begins with train, val or test states that part for its rows.

    The image column has paths, the bytes of image files, or the Hub's ``{bytes, path}``; integer classes get the names
    that the Hub's libraries store in the file.

    Args:
        paths: the files.
        columns: names of the columns; those of splits and captions may be missing.
        images: the folder that paths start from; that of the file if None.

    Raises:
        DataError: a file is damaged, or a row has no image or class, or an unknown split.
        UserError: a column is missing.
        StorageError: a file cannot be read.
    """
    return Source("parquet table", tuple(sample for path in paths for sample in _samples(path, columns, images)))


def _samples(path: Path, columns: Columns, images: Path | None) -> Iterator[ImageSample]:
    table = _Table(path, columns.image, images or path.parent)
    require_columns(path.name, table.names, columns)
    part, number = part_of_file(path.stem), 0
    for group in range(table.groups):
        for row, (image, values) in enumerate(table.rows(group, columns)):
            number += 1
            where = f"{path.name} row {number}"
            values = {columns.split: part, **values}
            if isinstance(image, str) and not table.has_bytes:
                yield path_sample(where, values, columns, table.folder, image)
            else:
                file = PurePosixPath(image or f"{number:08d}").name
                yield row_sample(where, values, columns, file, partial(table.read, group, row, where))


class _Table:
    """A parquet file; one thread at a time reads a row group of images."""

    def __init__(self, path: Path, image: str, folder: Path) -> None:
        self.path, self.folder, self._image = path, folder, image
        self._lock, self._groups = threading.Lock(), OrderedDict[int, Any]()
        with self._opened() as file:
            schema, self.groups = file.schema_arrow, file.num_row_groups
        self.names = schema.names
        known = self.names.count(image) == 1  # otherwise `require_columns` says what is wrong
        self.has_bytes, self._paths = _image_fields(schema.field(image), path.name) if known else (False, [])
        self._labels = _label_names(schema.metadata or {})

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        import pyarrow.parquet

        try:
            opened = open_regular_file(self.path)
        except OSError as error:
            raise read_error(self.path, error) from None
        with opened as file, parsing(f"{self.path.name} is damaged or truncated", "get the file again"):
            yield pyarrow.parquet.ParquetFile(file)

    def rows(self, group: int, columns: Columns) -> Iterator[tuple[str | None, dict[str, Any]]]:
        """The path of the image, if the file has paths, and the other columns of each row of a row group."""
        wanted = [name for name in (columns.classname, columns.split, columns.caption) if name in self.names]
        with self._opened() as file:
            table = file.read_row_group(group, columns=[*wanted, *self._paths])
            values = {name: table.column(name).to_pylist() for name in wanted}
            paths = table.column(self._image).to_pylist() if self._paths else [None] * table.num_rows
        for i, path in enumerate(paths):
            row = {name: self._named(name, column[i]) for name, column in values.items()}
            yield (path.get("path") if isinstance(path, dict) else path), row

    def _named(self, column: str, value: Any) -> Any:
        """A value, or the name of the class with that number; None for -1, which stands for no class."""
        names = self._labels.get(column, ())
        if not names or not isinstance(value, int):
            return value
        return names[value] if 0 <= value < len(names) else None

    def read(self, group: int, row: int, where: str) -> bytes:
        """The bytes of the image of one row.

        Raises:
            DataError: there is none, or its file cannot be read.
        """
        value = self._group(group)[row].as_py()
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, str):
            return read_bytes(self.folder / value, f"{where}: {value}")
        if not isinstance(value, bytes):
            raise DataError(f"{where}: there is no image")
        return value

    def _group(self, group: int) -> Any:
        with self._lock:
            if group not in self._groups:
                with self._opened() as file:
                    self._groups[group] = file.read_row_group(group, columns=[self._image]).column(0)
                if len(self._groups) > _OPEN_GROUPS:
                    self._groups.popitem(last=False)
            return self._groups[group]


def _image_fields(image: Any, file: str) -> tuple[bool, list[str]]:
    """Whether a column has the bytes of images, and the columns of their paths.

    Raises:
        UserError: it has neither.
    """
    kind = str(image.type)
    fields = {f"{image.name}.{one.name}": str(one.type) for one in image.type} if kind.startswith("struct") else {}
    has_bytes = "binary" in (fields.get(f"{image.name}.bytes", "") if fields else kind)
    paths = [f"{image.name}.path"] if f"{image.name}.path" in fields else []
    if not fields and not has_bytes and "string" in kind:
        paths = [image.name]
    if not (has_bytes or paths) or kind.startswith(("list", "large_list", "fixed_size_list", "map")):
        raise UserError(f"column {image.name!r} of {file} has no images, but {kind}", "name it with --image-column")
    return has_bytes, paths


def _label_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Column -> names of its classes, as the library ``datasets`` stores them in a file's metadata."""
    with suppress(ValueError, KeyError, AttributeError, TypeError):  # metadata of another library
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {name: feature["names"] for name, feature in features.items() if "names" in feature}
    return {}
