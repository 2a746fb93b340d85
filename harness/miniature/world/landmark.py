"""Landmark: a monument in its land, under its sky."""

from __future__ import annotations

import math
import random

from harness.miniature.world.canvas import Canvas
from harness.miniature.world.colours import RGB, mix, shade
from harness.miniature.world.grammar import COLOUR, Grammar, Look, table

_SKY: dict[str, tuple[RGB, RGB]] = {
    "sunny": ((96, 164, 232), (206, 230, 246)),
    "sunset": ((228, 112, 76), (250, 206, 120)),
    "moonlit": ((22, 26, 62), (62, 66, 118)),
    "stormy": ((84, 90, 100), (150, 156, 162)),
    "rosy": ((214, 150, 196), (250, 222, 222)),
}
_FRONT: dict[str, RGB] = {
    "lakeside": (62, 126, 176),
    "grassy": (98, 158, 72),
    "sandy": (220, 194, 128),
    "snowy": (236, 240, 246),
    "heathery": (146, 96, 138),
}
_FAR = 2.2  # beyond the picture's edge, however it is placed


def draw(canvas: Canvas, look: Look, rng: random.Random) -> None:
    """Sky, land, foreground, monument."""
    high, low = _SKY[look["sky"]]
    for i in range(8):
        y = -_FAR + 0.3 * i
        canvas.shape([(-_FAR, y), (_FAR, y), (_FAR, 0.6), (-_FAR, 0.6)], mix(high, low, i / 7), edge=False)
    canvas.ellipse(rng.uniform(-0.9, -0.6), rng.uniform(-0.9, -0.75), 0.13, 0.13, mix(low, (255, 252, 225), 0.7))
    land, front = shade(look.colour("land_colour"), 0.9), _FRONT[look["front"]]
    y = 0.28
    if look["land"] == "mountainous":
        canvas.shape([(-_FAR, y), (-0.95, -0.55), (-0.4, 0), (0.45, -0.75), (1.1, -0.1), (_FAR, 0), (_FAR, y)], land)
    elif look["land"] == "hilly":
        waves = [(-_FAR + 0.275 * i, 0.02 - 0.2 * math.sin(1.1 * i + 0.6)) for i in range(17)]
        canvas.shape([(-_FAR, y), *waves, (_FAR, y)], land)
    elif look["land"] == "cliffed":
        canvas.shape([(-_FAR, y), (-_FAR, -0.5), (-0.55, -0.45), (-0.35, y)], land)
        canvas.shape([(_FAR, y), (_FAR, -0.3), (0.75, -0.25), (0.6, y)], land)
    canvas.shape([(-_FAR, y), (_FAR, y), (_FAR, _FAR), (-_FAR, _FAR)], front, edge=False)
    for _ in range(6):
        x, deep = rng.uniform(-1.2, 1.2), rng.uniform(0.5, 1.1)
        canvas.line([(x, deep), (x + 0.22, deep)], 0.05, shade(front, 1.18))
    _monument(canvas, look)


def _monument(canvas: Canvas, look: Look) -> None:
    stone, foot = look.fill("stone", "inlay"), 0.62
    top = -0.62 - 0.1 * look.dials.head
    w = 1 - 0.2 * look.dials.slender
    pale, form = shade(stone.base, 1.15), look["form"]
    if form == "arch":
        for side in (-1, 1):
            canvas.box(side * 0.5 * w - 0.17, -0.2, side * 0.5 * w + 0.17, foot, stone)
        canvas.box(-0.72 * w, -0.5, 0.72 * w, -0.16, stone)
    elif form == "obelisk":
        canvas.shape([(-0.2 * w, foot), (-0.12 * w, top), (0, top - 0.2), (0.12 * w, top), (0.2 * w, foot)], stone)
    elif form == "bridge":
        canvas.box(-1.05, 0.0, 1.05, 0.2, stone)
        for x in (-0.85, -0.3, 0.3, 0.85):
            canvas.box(x - 0.09, 0.2, x + 0.09, foot, stone)
    elif form == "lighthouse":
        canvas.shape([(-0.26 * w, foot), (-0.15 * w, top + 0.1), (0.15 * w, top + 0.1), (0.26 * w, foot)], stone)
        canvas.box(-0.17, top - 0.1, 0.17, top + 0.1, (250, 236, 150))
    elif form == "pyramid":
        canvas.shape([(-0.85 * w, foot), (0, top + 0.1), (0.85 * w, foot)], stone)
    elif form == "statue":
        canvas.box(-0.32, 0.35, 0.32, foot, pale)
        canvas.shape([(-0.22 * w, 0.35), (-0.28 * w, -0.3), (0.28 * w, -0.3), (0.22 * w, 0.35)], stone)
        canvas.line([(0.2 * w, -0.22), (0.5 * w, -0.6)], 0.13, stone.base)
        canvas.ellipse(0, -0.46, 0.16, 0.18, pale)
    else:
        canvas.box(-0.6 * w, 0.1, 0.6 * w, foot, stone)
        canvas.ellipse(0, 0.1, 0.52 * w, 0.5, stone)
    _crown(canvas, look["crown"], look.colour("inlay"), top if form in ("obelisk", "lighthouse") else top + 0.1)


def _crown(canvas: Canvas, crown: str, colour: RGB, y: float) -> None:
    if crown == "flagged":
        canvas.line([(0, y), (0, y - 0.45)], 0.05, (70, 60, 60))
        canvas.shape([(0, y - 0.45), (0.38, y - 0.34), (0, y - 0.22)], colour)
    elif crown == "orbed":
        canvas.ellipse(0, y - 0.15, 0.15, 0.15, colour)
    elif crown == "starred":
        canvas.star(0, y - 0.18, 0.22, 0.09, 5, colour)


GRAMMAR = Grammar(
    traits={
        "form": ("arch", "obelisk", "bridge", "lighthouse", "pyramid", "statue", "dome"),
        "sky": tuple(_SKY),
        "land": ("mountainous", "hilly", "cliffed", "level"),
        "front": tuple(_FRONT),
        "land_colour": ("green", "brown", "purple", "grey", "orange", "teal"),
        "stone": COLOUR,
        "inlay": COLOUR,
        "crown": ("flagged", "orbed", "starred", "crownless"),
        "pattern": ("plain", "banded", "striped", "checked"),
    },
    founders=table("""
                    form        sky      land         front     land_colour  stone   inlay   crown      pattern
        arch        arch        sunny    level        grassy    green        white   yellow  crownless  plain
        obelisk     obelisk     sunset   hilly        sandy     brown        grey    black   crownless  plain
        bridge      bridge      stormy   cliffed      lakeside  grey         red     white   crownless  plain
        lighthouse  lighthouse  rosy     cliffed      lakeside  teal         white   red     crownless  banded
        pyramid     pyramid     sunny    level        sandy     orange       yellow  brown   crownless  banded
        statue      statue      moonlit  mountainous  snowy     purple       teal    white   starred    plain
        dome        dome        sunset   hilly        heathery  green        blue    yellow  orbed      plain
    """),
    locked=("form",),
    text_traits=("stone", "sky", "front", "land", "pattern", "crown"),
    drift=1.5,
    scenes=("overcast",),
    turn=4,
    pen=draw,
)
