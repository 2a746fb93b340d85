"""Find out what a source is, and read it."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from harness.datasets.importing.csv_table import SUFFIXES as CSV
from harness.datasets.importing.csv_table import read_csv
from harness.datasets.importing.hugging_face import HUB, SAVED, read_hugging_face
from harness.datasets.importing.image_folder import read_image_folder
from harness.datasets.importing.parquet_table import read_parquet
from harness.datasets.importing.sample import Columns, Source
from harness.datasets.importing.webdataset import read_webdataset
from harness.datasets.layout import parse_folder_name
from harness.datasets.mirror import INDEX
from harness.errors import DataError, UserError, near_path
from harness.files import expand_user, list_paths

T = TypeVar("T")

KINDS = "an image folder, a .csv, .tsv, .parquet or .tar file, or hf-hub:OWNER/NAME"

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip")


def read_source(given: Sequence[str], columns: Columns, images: Path | None = None) -> Source:
    """Read the samples of a source; images are read later.

    Args:
        given: a folder, files of one kind, patterns such as ``train-*.tar``, or ``hf-hub:OWNER/NAME``.
        columns: names of the columns of a table or the fields of an archive.
        images: the folder that paths in a table start from; that of the table if None.

    Raises:
        UserError: it is none of these.
        DataError: it is damaged, or has no image or class.
        StorageError: it cannot be read.
    """
    source = _read(given, columns, images)
    if not source.samples:
        raise DataError(f"{given[0]} has no images", f"a source is {KINDS}")
    return source


def _read(given: Sequence[str], columns: Columns, images: Path | None) -> Source:
    if any(one.startswith(HUB) for one in given):
        return read_hugging_face(_only(given), columns)
    paths = [path for one in given for path in _expand(one)]
    if any(path.is_dir() for path in paths):
        return _read_folder(_only(paths), columns, images)
    readers: dict[str, Callable[[], Source]] = {
        **dict.fromkeys(CSV, lambda: read_csv(_only(paths), columns, images)),
        ".parquet": lambda: read_parquet(paths, columns, images),
        ".tar": lambda: read_webdataset(paths, columns),
    }
    suffixes = {path.suffix.lower() for path in paths}
    if len(suffixes) == 1 and (suffix := suffixes.pop()) in readers:
        return readers[suffix]()
    if packed := [path.name for path in paths if path.name.lower().endswith(_COMPRESSED)]:
        raise UserError(f"{packed[0]} is compressed", "decompress it first; a tar file may stay packed")
    raise UserError(f"{given[0]} is no source of images", f"a source is {KINDS}")


def _read_folder(folder: Path, columns: Columns, images: Path | None) -> Source:
    """A folder of one of the kinds, by what is in it."""
    names = {path.name for path in list_paths(folder, "*")}
    if any(parse_folder_name(name) for name in names):
        mirror = f"`harness data download ROOT --mirror {folder}` unpacks this mirror"
        raise UserError(
            f"{folder} is in LAION-Beyond's format already", mirror if INDEX in names else f"use --data {folder}"
        )
    if any(name in names for name in SAVED):
        return read_hugging_face(str(folder), columns)
    for pattern in ("*.parquet", "*/*.parquet"):
        if files := list_paths(folder, pattern):
            return read_parquet(files, columns, images)
    if archives := list_paths(folder, "*.tar"):
        return read_webdataset(archives, columns)
    return read_image_folder(folder)


def _expand(given: str) -> list[Path]:
    """The paths of a path or pattern.

    Raises:
        UserError: there are none.
    """
    path = expand_user(Path(given))
    if path.exists():
        return [path]
    found = sorted(map(Path, glob.glob(str(path))))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise UserError(f"{given} does not exist", f"{near_path(path)}; a source is {KINDS}")
    return found


def _only(sources: Sequence[T]) -> T:
    if len(sources) > 1:
        raise UserError(
            f"{len(sources)} sources are given, {sources[0]} and others", "only .tar and .parquet files may be several"
        )
    return sources[0]
