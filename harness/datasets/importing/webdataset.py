"""Read WebDataset archives: tar files in which the files of one image share their name up to the first full stop."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from harness.datasets.formats import is_image_name
from harness.datasets.image_bytes import MAX_BYTES
from harness.datasets.importing.part_names import part_of_file
from harness.datasets.importing.rows import row_sample
from harness.datasets.importing.sample import Columns, ImageSample, Source
from harness.errors import DataError, os_reason
from harness.files import open_regular_file, read_error
from harness.parsing import parse_json, parsing
from harness.progress import pluralize

MAX_FIELD_BYTES = 1 << 20
"""Largest file with the class, caption or fields of an image."""

_HINT = "give an intact tar file that is not compressed, with texts in UTF-8"

_FIELDS = (".cls", ".txt", ".json")


@dataclass
class _Record:
    """The files of one image: place and size of the image in the archive, and the content of the others."""

    file: str = ""
    offset: int = 0
    size: int = 0
    more: int = 0  # other images
    fields: dict[str, bytes] = field(default_factory=dict)


def read_webdataset(archives: Sequence[Path], columns: Columns) -> Source:
    """The images of tar archives. An archive whose name begins with train, val or test states that part.

    Of an image ``cat/0001.jpg``, the class is in ``cat/0001.cls``, in a field of ``cat/0001.json``, or the name of the
    folder; the caption is in ``cat/0001.txt`` or in a field of ``cat/0001.json``. Nothing is extracted: images are read
    from their place in the archive.

    Args:
        archives: the files, not compressed.
        columns: names of the fields in JSON files.

    Raises:
        DataError: an archive is damaged, or an image has no class.
        StorageError: an archive cannot be read.
    """
    samples: list[ImageSample] = []
    without = more = 0
    for archive in archives:
        part = part_of_file(archive.name)
        for key, record in _records(archive).items():
            more += record.more
            if record.file:
                samples.append(_sample(archive, key, record, {columns.split: part}, columns))
            else:
                without += 1
    notes = [f"{pluralize(without, 'records')} without an image: left out"] if without else []
    notes += [f"{pluralize(more, 'images')} after the first of a record: left out"] if more else []
    return Source("WebDataset archive", tuple(samples), tuple(notes))


def _records(archive: Path) -> dict[str, _Record]:
    """The files of an archive by their name up to the first full stop, in the order of their first file."""
    found: dict[str, _Record] = {}
    names: set[str] = set()
    try:
        opened = open_regular_file(archive)
    except OSError as error:
        raise read_error(archive, error) from None
    problem = f"{archive.name} is damaged, truncated or compressed"
    with opened as file, parsing(problem, _HINT), tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            if not member.isreg() or member.issparse():
                continue
            if member.name in names:
                raise DataError(f"{archive.name} has two files {member.name}", "give every image a name of its own")
            names.add(member.name)
            _add(found, tar, member)
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile ends silently at a damaged header
            raise DataError(f"{problem}: after {len(found)} records", _HINT)
    return found


def _add(found: dict[str, _Record], tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    stem, suffix = path.name.partition(".")[0], path.suffix.lower()
    record = found.setdefault(str(path.parent / stem), _Record()) if stem else _Record()  # not a hidden file's
    if is_image_name(path.name) and record.file:
        record.more += 1
    elif is_image_name(path.name):
        record.file, record.offset, record.size = path.name, member.offset_data, member.size
    elif suffix in _FIELDS and member.size <= MAX_FIELD_BYTES:
        content = tar.extractfile(member)
        record.fields[suffix] = content.read() if content else b""


def _sample(archive: Path, key: str, record: _Record, given: dict[str, Any], columns: Columns) -> ImageSample:
    where = f"{archive.name}: {PurePosixPath(key).parent / record.file}"
    row = given | {columns.classname: PurePosixPath(key).parent.name or None} | _fields(where, record, columns)
    return row_sample(where, row, columns, record.file, partial(_read, archive, record.offset, record.size, where))


def _fields(where: str, record: _Record, columns: Columns) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    with parsing(f"{where}: a field is damaged", _HINT):
        if ".json" in record.fields:
            content = parse_json(record.fields[".json"], f"{where}: its .json file is damaged", _HINT)
            fields = content if isinstance(content, dict) else {}
        for suffix, column in ((".cls", columns.classname), (".txt", columns.caption)):
            if suffix in record.fields:
                fields[column] = record.fields[suffix].decode()
    return {name: value for name, value in fields.items() if value is not None}


def _read(archive: Path, offset: int, size: int, where: str) -> bytes:
    """The bytes of an image in an archive.

    Raises:
        DataError: they are too many, or cannot be read.
    """
    if size > MAX_BYTES:
        raise DataError(f"{where}: the file has more than {MAX_BYTES:,} bytes")
    try:
        with open_regular_file(archive) as file:
            file.seek(offset)
            content = file.read(size)
    except OSError as error:
        raise DataError(f"{where}: the archive cannot be read ({os_reason(error)})") from None
    if len(content) < size:
        raise DataError(f"{where}: the archive ends early")
    return content
