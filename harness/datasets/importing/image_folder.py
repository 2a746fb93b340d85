"""Read an image folder: a subfolder for each class, under train, val and test folders if there are any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from harness.datasets.formats import is_image_name
from harness.datasets.image_bytes import read_bytes
from harness.datasets.importing.part_names import find_part
from harness.datasets.importing.sample import ImageSample, Source
from harness.errors import DataError
from harness.files import read_error, walk_files
from harness.progress import pluralize


class _File(NamedTuple):
    """A file of the source: its relative name, its path, and the folders above it and its own name."""

    name: str
    path: Path
    parts: list[str]


def read_image_folder(folder: Path) -> Source:
    """The images of the class folders, at any depth below them. Links to folders are not followed.

    Raises:
        DataError: there is no class folder, one has no image, or parts and other folders are mixed.
        StorageError: a folder cannot be read.
    """
    try:
        files = [_File(name, path, name.split("/")) for name, path in walk_files(folder, broken_links=True)]
        parts = _part_folders(folder)
        classes = {name for part in parts for name in _folders(folder / part)} if parts else set(_folders(folder))
    except OSError as error:
        raise read_error(folder, error) from None
    above = 2 if parts else 1
    images = [file for file in files if is_image_name(file.name)]
    samples = tuple(_sample(file, above) for file in images if len(file.parts) > above)
    if not samples:
        raise DataError(f"{folder} has no class folder with images", "put the images of each class into its own folder")
    if empty := sorted(classes - {sample.classname for sample in samples}):
        raise DataError(
            f"{pluralize(len(empty), 'class folders')} without an image: {', '.join(empty[:10])}",
            "remove them, or add images; links to folders are not followed",
        )
    others = [file for file in files if not is_image_name(file.name)]
    return Source("image folder", samples, tuple(_notes(images, others, above)))


def has_class_folders(folder: Path) -> bool:
    """Whether there are images in subfolders, or in those of train, val and test; the first files decide."""
    below = (path for pattern in ("*/*", "*/*/*") for path in folder.glob(pattern))
    return any(is_image_name(path.name) for path in islice(below, 10_000))


def _part_folders(folder: Path) -> list[str]:
    """The folders of parts, if there are any: folders with such a name that contain folders, as all others do."""
    names = _folders(folder)
    parts = [name for name in names if find_part(name) and _folders(folder / name)]
    if parts and len(parts) < len(names):
        others = ", ".join(name for name in names if name not in parts)
        raise DataError(
            f"{folder} has folders of parts ({', '.join(parts)}) and others ({others})",
            "give a folder that has either parts or classes",
        )
    return parts


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _sample(file: _File, above: int) -> ImageSample:
    """An image below ``above`` folders: its class, or its part and its class."""
    part = find_part(file.parts[0]) if above == 2 else None
    return ImageSample(
        where=file.name,
        file="_".join(file.parts[above:]),
        classname=file.parts[above - 1],
        read=partial(read_bytes, file.path, file.name),
        part=part,
        path=file.path,
    )


def _notes(images: Sequence[_File], others: Sequence[_File], above: int) -> Iterator[str]:
    if loose := [file.name for file in images if len(file.parts) <= above]:
        yield f"{pluralize(len(loose), 'images')} in no class folder, first {loose[0]}: left out"
    if others:
        kinds = Counter(PurePosixPath(file.name).suffix or file.parts[-1] for file in others)
        listed = ", ".join(kind for kind, _ in kinds.most_common(5))
        yield f"{pluralize(len(others), 'files')} that are no images by their names ({listed}): left out"
