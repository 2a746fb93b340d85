"""Augmented views: random resized crop (Szegedy et al., CVPR 2015) and flip, drawn once per (image, view).

View 0 is the test view, the whole image. Views 1, 2, ... come from a generator seeded only by the sha256 of the image
and the number of the view, so a view is the same in every run and can be cached.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image, ImageOps

MIN_CROP = 0.08
"""Default minimum area of a crop, as a fraction of the image."""

RATIO = (3 / 4, 4 / 3)


class View(NamedTuple):
    """A view of images: the kind of features, its number, and the minimum area of its crop."""

    kind: str
    number: int = 0
    crop: float = MIN_CROP


def views_of(kind: str, count: int, crop: float) -> Iterator[View]:
    """The first views of a kind; the first one, the test view, is not cropped."""
    for number in range(count):
        yield View(kind, number, crop if number else MIN_CROP)


def view_name(view: int, crop: float = MIN_CROP) -> str:
    """Name of a view in the cache; the test view is not cropped."""
    return f"view-{view:03d}" if view == 0 else f"view-{view:03d}-box-{crop:g}"


def parse_view_name(name: str) -> tuple[int, float] | None:
    """Number and crop of a view by its name in the cache; None for another name."""
    found = re.fullmatch(r"view-(\d{3,6})(?:-box-([0-9.e-]{1,12}))?", name)
    try:
        view = (int(found[1]), float(found[2]) if found[2] else MIN_CROP) if found else None
    except ValueError:
        return None
    return view if view and view_name(*view) == name else None


def augment(image: Image.Image, sha256: str, view: int, size: tuple[int, int], crop: float = MIN_CROP) -> Image.Image:
    """View ``view`` of an image: a random crop, resized to the encoder's input and mirrored with probability 1/2.

    Args:
        image: RGB.
        sha256: of its file; determines the crop together with ``view``.
        view: number of the view; 0 returns the image itself.
        size: width and height of the encoder's input, so that nothing is cut off later.
        crop: minimum area of the crop, as a fraction of the image; its aspect ratio is 3:4 to 4:3.
    """
    if view == 0:
        return image
    generator = random.Random(f"{sha256}/{view}")
    box = image.crop(_crop_box(image.width, image.height, generator, crop))
    mirrored = generator.random() < 0.5
    box = box.resize(size, Image.Resampling.BICUBIC)
    return ImageOps.mirror(box) if mirrored else box


def _crop_box(
    width: int, height: int, generator: random.Random, min_area: float = MIN_CROP
) -> tuple[int, int, int, int]:
    for _ in range(10):
        area = width * height * generator.uniform(min_area, 1.0)
        ratio = math.exp(generator.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = generator.randint(0, width - w), generator.randint(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)  # a very long image: the largest centred square
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side
