"""Augmented views: random resized crop and flip, drawn once per (image, view).

View 0 is the test view. Views 1, 2, ... are drawn from a generator that is seeded by the sha256 of the image and the
number of the view alone, so a view is the same picture in every run, and can be cached.
"""

from __future__ import annotations

import math
import random

from PIL import Image, ImageOps

SCALE = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)


def augment(image: Image.Image, sha256: str, view: int) -> Image.Image:
    """View ``view`` of an image: a crop of 8 to 100 % of its area, aspect ratio 3:4 to 4:3, flipped half the time."""
    if view == 0:
        return image
    generator = random.Random(f"{sha256}/{view}")
    image = image.crop(_crop_box(image.width, image.height, generator))
    return ImageOps.mirror(image) if generator.random() < 0.5 else image


def _crop_box(width: int, height: int, generator: random.Random) -> tuple[int, int, int, int]:
    for _ in range(10):
        area = width * height * generator.uniform(*SCALE)
        ratio = math.exp(generator.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = generator.randint(0, width - w), generator.randint(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)  # a very long image: the largest centred square
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side
