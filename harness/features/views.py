"""Augmented views: random resized crop and flip, drawn once per (image, view).

View 0 is the test view. Views 1, 2, ... are drawn from a generator that is seeded by the sha256 of the image and the
number of the view alone, so a view is the same picture in every run, and can be cached.
"""

from __future__ import annotations

import math
import random

from PIL import Image, ImageOps

CROP = 0.08
"""Least share of an image's area that a crop has, unless a method says otherwise."""

RATIO = (3 / 4, 4 / 3)


def view_name(view: int, crop: float = CROP) -> str:
    """What a view is called in the cache; the test view is not cropped."""
    return f"view-{view:03d}" if view == 0 or crop == CROP else f"view-{view:03d}-crop-{crop:g}"


def augment(image: Image.Image, sha256: str, view: int, crop: float = CROP) -> Image.Image:
    """View ``view`` of an image: a crop of at least that share of its area, 3:4 to 4:3, flipped half the time."""
    if view == 0:
        return image
    generator = random.Random(f"{sha256}/{view}")
    image = image.crop(_crop_box(image.width, image.height, generator, crop))
    return ImageOps.mirror(image) if generator.random() < 0.5 else image


def _crop_box(width: int, height: int, generator: random.Random, least: float = CROP) -> tuple[int, int, int, int]:
    for _ in range(10):
        area = width * height * generator.uniform(least, 1.0)
        ratio = math.exp(generator.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = generator.randint(0, width - w), generator.randint(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)  # a very long image: the largest centred square
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side
