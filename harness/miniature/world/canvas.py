"""Drawing in the object's own coordinates: x to the right, y down, the object within -1..1."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw

from harness.miniature.world.colours import RGB, shade

SIZE = 128
"""Pixels a side while drawing; the finished image has half of it, which smooths every edge."""

Point = tuple[float, float]
_CIRCLE = [(math.cos(math.tau * i / 18), math.sin(math.tau * i / 18)) for i in range(18)]


class Frame(NamedTuple):
    """The affine map from object coordinates to pixels: ``(a x + b y + c, d x + e y + f)``."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float


class Fill(NamedTuple):
    """A colour with marks on it: plain, striped, banded, spotted, checked or patched."""

    base: RGB
    mark: RGB
    pattern: str = "plain"
    grain: float = 0.0


class Canvas:
    """A picture and the frame that places an object in it."""

    def __init__(self, image: Image.Image, frame: Frame) -> None:
        self.image = image
        self.frame = frame
        self._draw = ImageDraw.Draw(image)
        self._scale = math.sqrt(abs(frame.a * frame.e - frame.b * frame.d))

    def shape(self, points: Sequence[Point], fill: RGB | Fill, edge: bool = True) -> None:
        """A filled polygon with a darker outline."""
        outline = self._place(points)
        if isinstance(fill, Fill) and fill.pattern != "plain":
            self._textured(points, outline, fill)
        else:
            self._draw.polygon(outline, fill=_base(fill))
        if edge:
            self._draw.line([*outline, outline[0]], fill=shade(_base(fill), 0.55), width=2)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: RGB | Fill, turn: float = 0.0) -> None:
        """An ellipse around (x, y), turned by ``turn`` radians."""
        c, s = math.cos(turn), math.sin(turn)
        self.shape([(x + rx * u * c - ry * v * s, y + rx * u * s + ry * v * c) for u, v in _CIRCLE], fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: RGB | Fill) -> None:
        """A rectangle."""
        self.shape([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)

    def line(self, points: Sequence[Point], width: float, colour: RGB) -> None:
        """A line of ``width`` object units."""
        self._draw.line(self._place(points), fill=colour, width=max(2, round(width * self._scale)), joint="curve")

    def star(self, x: float, y: float, outer: float, inner: float, n: int, fill: RGB | Fill, turn: float = 0) -> None:
        """A star with n points, one of them up when ``turn`` is 0."""
        steps = [math.pi * i / n - math.pi / 2 + turn for i in range(2 * n)]
        radii = [outer, inner] * n
        self.shape([(x + r * math.cos(a), y + r * math.sin(a)) for r, a in zip(radii, steps, strict=True)], fill)

    def _place(self, points: Iterable[Point]) -> list[Point]:
        a, b, c, d, e, f = self.frame
        return [(a * x + b * y + c, d * x + e * y + f) for x, y in points]

    def _textured(self, points: Sequence[Point], outline: list[Point], fill: Fill) -> None:
        layer = Image.new("RGB", self.image.size, fill.base)
        ink = ImageDraw.Draw(layer)
        x0, x1 = min(x for x, _ in points), max(x for x, _ in points)
        y0, y1 = min(y for _, y in points), max(y for _, y in points)
        for mark in _marks(fill.pattern, x0, y0, x1, y1, 0.26 + 0.07 * fill.grain):
            ink.polygon(self._place(mark), fill=fill.mark)
        mask = Image.new("L", self.image.size)
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        if box := mask.getbbox():  # pasting takes time for every pixel of the mask
            self.image.paste(layer.crop(box), box, mask.crop(box))


def _base(fill: RGB | Fill) -> RGB:
    return fill.base if isinstance(fill, Fill) else fill


def _marks(pattern: str, x0: float, y0: float, x1: float, y1: float, step: float) -> list[list[Point]]:
    """The polygons of a pattern over a box; ``step`` is the distance from one mark to the next."""
    columns = [x0 + step * (i + 0.5) for i in range(math.ceil((x1 - x0) / step))]
    rows = [y0 + step * (i + 0.5) for i in range(math.ceil((y1 - y0) / step))]
    half = step / 4
    if pattern == "striped":
        return [[(x - half, y0), (x + half, y0), (x + half, y1), (x - half, y1)] for x in columns]
    if pattern == "banded":
        return [[(x0, y - half), (x1, y - half), (x1, y + half), (x0, y + half)] for y in rows]
    if pattern == "spotted":
        spots = [(x + (step / 2 if j % 2 else 0), y) for j, y in enumerate(rows) for x in columns]
        return [[(x + 1.1 * half * u, y + 1.1 * half * v) for u, v in _CIRCLE[::3]] for x, y in spots]
    if pattern == "checked":
        cells = [(x, y) for i, x in enumerate(columns) for j, y in enumerate(rows) if (i + j) % 2]
        r = step / 2
        return [[(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)] for x, y in cells]
    width, height = x1 - x0, y1 - y0
    patches = [(0.2, 0.25, 0.2), (0.72, 0.4, 0.24), (0.4, 0.85, 0.18), (0.95, 0.95, 0.15)]
    return [[(x0 + width * (px + r * u), y0 + height * (py + r * v)) for u, v in _CIRCLE] for px, py, r in patches]
