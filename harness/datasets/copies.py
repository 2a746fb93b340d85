"""Duplicate images in a root: the same bytes, or probably the same picture in another file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from harness.datasets.check_report import Across, Duplicates, NearCopy
from harness.datasets.layout import parse_folder_name
from harness.datasets.near_copies import find_near_copies
from harness.errors import printable
from harness.types.split import Part


class ImageLocation(NamedTuple):
    """Location of an image; the path is relative to its folder."""

    folder: str
    part: Part
    path: str

    def __str__(self) -> str:
        return printable(f"{self.folder}/{self.path}")


class ImageIndex:
    """The images of a root, by the sha256 of their bytes."""

    def __init__(self) -> None:
        self._places: dict[str, list[ImageLocation]] = {}
        self._signatures: dict[str, bytes] = {}

    def add(self, place: ImageLocation, sha256: str, signature: bytes | None = None) -> None:
        """Add an image, with its ``image_signature`` if near copies are wanted."""
        self._places.setdefault(sha256, []).append(place)
        if signature is not None:
            self._signatures[sha256] = signature

    def duplicates(self) -> Iterator[Duplicates]:
        """Images whose bytes occur more than once."""
        for sha256, places in self._places.items():
            if len(places) > 1:
                yield Duplicates(sha256=sha256, paths=tuple(map(str, places)), across=tuple(_spread(places)))

    def near_copies(self, folders: list[str]) -> Iterator[NearCopy]:
        """Test images of some folders that look like a train or val image there but have other bytes."""
        test: dict[str, ImageLocation] = {}
        others: dict[str, ImageLocation] = {}
        for sha256, places in self._places.items():
            for place in places:
                if place.folder in folders:
                    (test if place.part == "test" else others).setdefault(sha256, place)
        scored, seen = [sha256 for sha256 in test if sha256 not in others], list(others)
        for near in find_near_copies([self._signatures[s] for s in scored], [self._signatures[s] for s in seen]):
            own, other = test[scored[near.scored]], others[seen[near.other]]
            yield NearCopy(test=str(own), other=str(other), bits=near.bits)


def _spread(places: list[ImageLocation]) -> Iterator[Across]:
    folders = [parsed for place in places if (parsed := parse_folder_name(place.folder))]
    parts = {(place.folder, place.part) for place in places}
    if len(parts) < len(places):
        yield "images of a part"
    if len(parts) > len({place.folder for place in places}):
        yield "parts"
    if len({folder.side for folder in folders}) > 1:
        yield "sides"
    if len({folder.domain for folder in folders}) > 1:
        yield "domains"
