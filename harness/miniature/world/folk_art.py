"""FolkArt: ornaments with n-fold symmetry in a frame."""

from __future__ import annotations

import math
import random

from harness.miniature.world.canvas import Canvas
from harness.miniature.world.colours import RGB, shade
from harness.miniature.world.grammar import COLOUR, Grammar, Look, table

_FOLD = {"threefold": 3, "fourfold": 4, "fivefold": 5, "sixfold": 6, "eightfold": 8}


def draw(canvas: Canvas, look: Look, rng: random.Random) -> None:
    """Frame, border, a ring of motifs, the heart of the piece."""
    ground, ink, accent = look.colour("ground"), look.colour("ink"), look.colour("accent")
    _frame(canvas, look["frame"], ground, accent, look["border"])
    n = _FOLD[look["fold"]]
    reach, size = 0.44 + 0.05 * look.dials.slender, 0.2 * (1 + 0.2 * look.dials.head) * (1.25 if n < 5 else 1)
    for i in range(n):
        _motif(canvas, look["motif"], math.tau * i / n - math.pi / 2, reach, size, ink)
    if look["heart"] == "starred":
        canvas.star(0, 0, 0.24, 0.11, n, accent)
    elif look["heart"] == "eyed":
        canvas.ellipse(0, 0, 0.2, 0.2, accent)
        canvas.ellipse(0, 0, 0.09, 0.09, ink)
    elif look["heart"] == "squared":
        canvas.box(-0.15, -0.15, 0.15, 0.15, accent)


def _frame(canvas: Canvas, frame: str, ground: RGB, accent: RGB, border: str) -> None:
    def outline(r: float) -> list[tuple[float, float]]:
        if frame == "square":
            return [(-r, -r), (r, -r), (r, r), (-r, r)]
        if frame == "diamond":
            return [(0, -1.25 * r), (1.05 * r, 0), (0, 1.25 * r), (-1.05 * r, 0)]
        if frame == "pennant":
            return [(-0.85 * r, -r), (0.85 * r, -r), (0.85 * r, 1.15 * r), (0, 0.8 * r), (-0.85 * r, 1.15 * r)]
        if frame == "shield":
            return [(-0.9 * r, -r), (0.9 * r, -r), (0.9 * r, 0.2 * r), (0, 1.2 * r), (-0.9 * r, 0.2 * r)]
        waves = 0.09 if frame == "scalloped" else 0
        steps = [math.tau * i / 48 for i in range(48)]
        radii = [r * (1 + waves * math.cos(8 * a)) for a in steps]
        return [(q * math.cos(a), q * math.sin(a)) for q, a in zip(radii, steps, strict=True)]

    canvas.shape(outline(0.86), accent if border != "unbordered" else ground)
    if border == "bordered":
        canvas.shape(outline(0.74), ground)
    elif border == "doubled":
        canvas.shape(outline(0.79), ground)
        canvas.shape(outline(0.72), accent)
        canvas.shape(outline(0.66), ground)


def _motif(canvas: Canvas, motif: str, angle: float, reach: float, size: float, ink: RGB) -> None:
    c, s = math.cos(angle), math.sin(angle)
    x, y = reach * c, reach * s
    if motif == "leafy":
        canvas.ellipse(x, y, size, size * 0.42, ink, angle)
    elif motif == "beaded":
        canvas.ellipse(x, y, size * 0.6, size * 0.6, ink)
    elif motif == "rayed":
        side = (-s * size * 0.5, c * size * 0.5)
        tip = (1.6 * x, 1.6 * y)
        canvas.shape([(0.4 * x + side[0], 0.4 * y + side[1]), tip, (0.4 * x - side[0], 0.4 * y - side[1])], ink)
    elif motif == "hearted":
        for turn in (-0.6, 0.6):
            canvas.ellipse(x, y, size * 0.75, size * 0.34, ink, angle + turn)
    elif motif == "crossed":
        canvas.line([(0.45 * x, 0.45 * y), (1.45 * x, 1.45 * y)], 0.09, ink)
        canvas.line([(x - s * size, y + c * size), (x + s * size, y - c * size)], 0.09, ink)
    else:
        canvas.ellipse(x, y, size * 0.85, size * 0.85, ink)
        canvas.ellipse(x + 0.3 * size * c, y + 0.3 * size * s, size * 0.5, size * 0.5, shade(ink, 1.6))


GRAMMAR = Grammar(
    traits={
        "frame": ("round", "square", "diamond", "pennant", "shield", "scalloped"),
        "fold": tuple(_FOLD),
        "motif": ("leafy", "beaded", "rayed", "hearted", "crossed", "mooned"),
        "ground": COLOUR,
        "ink": COLOUR,
        "accent": COLOUR,
        "border": ("unbordered", "bordered", "doubled"),
        "heart": ("starred", "eyed", "squared", "hollow"),
    },
    founders=table("""
                frame      fold       motif    ground  ink     accent  border      heart
        plate   round      sixfold    leafy    white   blue    yellow  bordered    eyed
        tile    square     fourfold   mooned   teal    white   orange  doubled     starred
        quilt   square     eightfold  rayed    red     yellow  white   unbordered  squared
        kite    diamond    threefold  beaded   yellow  red     green   bordered    starred
        banner  pennant    fivefold   hearted  purple  white   orange  bordered    hollow
        crest   shield     threefold  crossed  blue    yellow  red     doubled     eyed
        doily   scalloped  eightfold  leafy    pink    purple  white   unbordered  eyed
    """),
    locked=("frame",),
    text_traits=("ink", "motif", "fold", "heart", "border"),
    drift=1.8,
    scenes=("wall", "cloth", "wood panel", "plaster"),
    turn=20,
    pen=draw,
)
