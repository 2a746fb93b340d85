"""Decode and hash the images of a root, to find those that cannot be used and to compare the others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.datasets.check_report import Problem
from harness.datasets.disk import ProblemKind
from harness.datasets.image_bytes import read_bytes
from harness.datasets.images import crop_to_middle, decode_image
from harness.datasets.map_in_threads import map_in_threads
from harness.datasets.near_copies import image_signature
from harness.errors import DataError, printable


class ListedImage(NamedTuple):
    """An image of a split file: its folder, and its path there."""

    folder: str
    path: str


class ImageInfo(NamedTuple):
    """A usable image: sha256 of its bytes, its signature, and whether only its middle is used."""

    sha256: str
    signature: bytes
    truncated: bool


Inspect = Callable[[Path, Sequence[ListedImage]], Iterator[ImageInfo | Problem]]
"""Inspects images of a root; yields them in order."""


def inspect_in_threads(root: Path, images: Sequence[ListedImage], workers: int) -> Iterator[ImageInfo | Problem]:
    """Inspect images in threads of this process.

    Args:
        root: of the folders.
        images: of the root.
        workers: number of threads.

    Raises:
        StorageError: the machine temporarily lacks memory or file descriptors.
    """
    return map_in_threads(lambda image: inspect_image(root, image), images, workers)


def inspect_image(root: Path, image: ListedImage) -> ImageInfo | Problem:
    """A usable image, or what is wrong with it.

    Raises:
        StorageError: the machine temporarily lacks memory or file descriptors.
    """
    file, path, data = root / image.folder / image.path, image.path, None
    try:
        data = read_bytes(file, path)
        decoded = decode_image(data, path)
    except DataError as error:
        kind: ProblemKind = _why_unreadable(file) if data is None else "corrupt" if data else "empty"
        return Problem(path=printable(path), kind=kind, reason=printable(error.message.removeprefix(f"{path}: ")))
    used = crop_to_middle(decoded)
    return ImageInfo(hashlib.sha256(data).hexdigest(), image_signature(used), used is not decoded)


def _why_unreadable(file: Path) -> ProblemKind:
    """Why a file cannot be read."""
    try:
        file.stat()
    except PermissionError:
        return "unreadable"
    except OSError:  # missing, or a broken or circular link
        return "missing"
    return "unreadable"
