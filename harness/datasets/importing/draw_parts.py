"""Divide images into train, val and test: as the source states, else by a seeded draw."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from harness.errors import DataError, UserError
from harness.types.split import PARTS, Part

DEFAULT_SHARES: Mapping[Part, float] = {"train": 0.25, "val": 0.1, "test": 0.65}
"""Close to the release, whose classes have about 20, 6 and 50 images, or 50, 20 and 200."""

_FIRST: tuple[Part, ...] = ("test", "train", "val")
"""The parts that the first images of a small class are for."""


class HashedImage(NamedTuple):
    """What the division depends on: class, sha256 of the bytes, and the part that the source states."""

    classname: str
    sha256: str
    part: Part | None


def require_shares(shares: Mapping[Part, float]) -> None:
    """Check the shares of the parts.

    Raises:
        UserError: they do not add up to 1, one is negative, or that of test is 0.
    """
    if not (min(shares.values()) >= 0 and shares["test"] and abs(sum(shares.values()) - 1) <= 1e-6):  # also of NaN
        listed = ", ".join(f"{part} {share:g}" for part, share in shares.items())
        raise UserError(f"the shares {listed} do not add up to 1 with some for test", "for example 0.25,0.1,0.65")


def divide(images: Sequence[HashedImage], shares: Mapping[Part, float], seed: int) -> list[Part]:
    """The part of each image. Images with the same bytes are in one part, whatever their classes.

    Parts that the source states are kept; of copies in several parts, all are in the last one (train, val, test). All
    other images are drawn, class by class, and so is val from train if the source states train and test alone. A class
    of one image has it in test; a second image is in train and a third in val. The draw depends on bytes, classes and
    seed, and not on order or file names.

    Raises:
        DataError: the source states train and val, but not test.
    """
    part_of = _stated_parts(images)
    stated = set(part_of.values())
    if stated == {"train"}:
        part_of = {}  # how data sets that are not divided come
    elif stated and "test" not in stated:
        raise DataError(f"the source has no test images to score, only {', '.join(sorted(stated))}", "use --redraw")
    part_of |= _draw(images, part_of, shares, seed)
    if stated == {"train", "test"} and shares["val"]:
        test = {sha256: part for sha256, part in part_of.items() if part == "test"}
        part_of = test | _draw(images, test, {**shares, "test": 0}, seed)
    return [part_of[image.sha256] for image in images]


def _stated_parts(images: Iterable[HashedImage]) -> dict[str, Part]:
    """sha256 -> the last part that one of its copies is in."""
    found: dict[str, Part] = {}
    for image in images:
        if image.part is not None:
            found[image.sha256] = max(image.part, found.get(image.sha256, image.part), key=PARTS.index)
    return found


def _draw(
    images: Iterable[HashedImage], but: Collection[str], shares: Mapping[Part, float], seed: int
) -> dict[str, Part]:
    """sha256 -> drawn part of the images whose sha256 is not in ``but``; copies count once, in their first class."""
    first_class: dict[str, str] = {}
    for image in sorted(images, key=lambda image: (image.classname, image.sha256)):
        if image.sha256 not in but:
            first_class.setdefault(image.sha256, image.classname)
    classes: dict[str, list[str]] = {}
    for sha256, classname in first_class.items():
        classes.setdefault(classname, []).append(sha256)
    found: dict[str, Part] = {}
    for digests in classes.values():
        digests.sort(key=lambda sha256: hashlib.sha256(f"{seed} {sha256}".encode()).digest())
        counts = _counts(len(digests), shares)
        parts = [part for part in PARTS for _ in range(counts[part])]
        found |= zip(digests, parts, strict=True)
    return found


def _counts(images: int, shares: Mapping[Part, float]) -> dict[Part, int]:
    """How many of a class's images are in each part: the shares, but one in each part before two in another."""
    parts = [part for part in _FIRST if shares[part]]
    total = sum(shares.values())
    counts = dict.fromkeys(PARTS, 0) | dict.fromkeys(parts[:images], 1)
    while sum(counts.values()) < images:
        counts[max(parts, key=lambda part: shares[part] / total * images - counts[part])] += 1
    return counts
