"""Read ``merged_mapping.json``: all images of a folder by class, as the release's discovery code reads it.

The format is that of the release's ``CMS/data/laion_beyond.py``: an object of class -> list of file names, each at
``images/<class>/<file>`` of the same folder. The order of classes and files matters: the release shuffles the files of
one class after another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from harness.datasets.disk import ProblemKind
from harness.datasets.splitfile import read_json
from harness.errors import DataError
from harness.types.split import nfc

FILE = "merged_mapping.json"


def read_merged(folder: Path) -> tuple[str, ...]:
    """The paths ``images/<class>/<file>`` that the file lists, in its order and in Unicode form NFC.

    Raises:
        DataError: the file is missing, damaged or malformed, or lists an image twice.
    """
    name = f"{folder.name}/{FILE}"
    if not (folder / FILE).exists():
        raise DataError(f"{folder.name} has no {FILE}", "download or unpack the folder again")
    content = read_json(folder / FILE, name)
    if not _is_mapping(content):
        raise DataError(f"{name} is not an object of classes and lists of file names", "download the file again")
    paths = tuple(nfc(f"images/{classname}/{file}") for classname, files in content.items() for file in files)
    if len(set(paths)) < len(paths):
        twice = next(path for path, count in Counter(paths).items() if count > 1)
        raise DataError(f"{name} lists {twice} twice", "download the file again")
    return paths


def _is_mapping(content: Any) -> bool:
    lists = content.values() if isinstance(content, dict) else [None]
    return all(isinstance(files, list) and all(isinstance(file, str) for file in files) for files in lists)


def compare_merged(
    folder: Path, paths: Collection[str], on_problem: Callable[[ProblemKind, str, str], None]
) -> Iterator[str]:
    """Yield notes on differences from the ``paths`` of the split file; none if the file does not exist."""
    if not (folder / FILE).exists():
        return
    try:
        merged = set(read_merged(folder))
    except DataError as error:
        on_problem("label file", FILE, error.message)
        return
    split = {nfc(path) for path in paths}
    for images, what in (
        (sorted(merged - split), "lists {} images that are in no part of the split file"),
        (sorted(split - merged), "lacks {} images of the split file"),
    ):
        if images:
            yield f"{folder.name}/{FILE} {what.format(len(images))}, first {images[0]}"
