"""Architecture: buildings seen from the front."""

from __future__ import annotations

import random

from harness.miniature.world.canvas import Canvas
from harness.miniature.world.colours import RGB, shade
from harness.miniature.world.grammar import COLOUR, Grammar, Look, table

_HALF_WIDTH = {"hall": 0.8, "cottage": 0.58, "keep": 0.66, "temple": 0.8, "chapel": 0.5, "tower": 0.34, "pagoda": 0.6}
_HEIGHT = {"low": 0.62, "storeyed": 0.88, "high": 1.14}


def draw(canvas: Canvas, look: Look, rng: random.Random) -> None:
    """Side towers, body with its roof, openings, and what only this plan has."""
    plan, wall, tiles = look["plan"], look.fill("wall", "trim"), look.colour("roofing")
    w = _HALF_WIDTH[plan] * (1 - 0.12 * look.dials.slender)
    base, top = 0.85, 0.85 - _HEIGHT[look["height"]] * (1.15 if plan == "tower" else 1)
    sides = {"towerless": (), "turreted": (-0.95,), "twintowered": (-0.95, 0.95)}[look["towers"]]
    for side in sides:
        x, up = side * w, top - 0.22
        canvas.box(x - 0.15, up, x + 0.15, base, shade(wall.base, 0.88))
        canvas.shape([(x - 0.2, up), (x, up - 0.32), (x + 0.2, up)], tiles)
    canvas.box(-w, top, w, base, wall)
    _roof(canvas, look["roof"], w, top, tiles)
    trim = look.colour("trim")
    if plan == "keep":
        for i in range(5):
            x = -w + (2 * w - 0.16) * i / 4
            canvas.box(x, top - 0.12, x + 0.16, top + 0.06, wall.base)
    if plan == "temple":
        for i in range(5):
            x = -w + 0.06 + (2 * w - 0.24) * i / 4
            canvas.box(x, top + 0.05, x + 0.12, base, shade(trim, 1.1))
    if plan == "pagoda":
        for part in (0.35, 0.7):
            y = top + (base - top) * part
            canvas.shape([(-w - 0.22, y + 0.1), (-w, y - 0.06), (w, y - 0.06), (w + 0.22, y + 0.1)], tiles)
    if plan == "chapel":
        canvas.line([(0, top - 0.75), (0, top - 0.4)], 0.06, trim)
        canvas.line([(-0.11, top - 0.64), (0.11, top - 0.64)], 0.06, trim)
    _openings(canvas, look, w, top, base)


def _roof(canvas: Canvas, roof: str, w: float, top: float, tiles: RGB) -> None:
    if roof == "gabled":
        canvas.shape([(-w - 0.1, top), (0, top - 0.45), (w + 0.1, top)], tiles)
    elif roof == "domed":
        canvas.ellipse(0, top, w * 0.85, 0.4, tiles)
        canvas.line([(0, top - 0.4), (0, top - 0.55)], 0.06, tiles)
    elif roof == "spired":
        canvas.shape([(-w * 0.55, top), (0, top - 0.85), (w * 0.55, top)], tiles)
    elif roof == "hipped":
        canvas.shape([(-w - 0.12, top), (-w * 0.55, top - 0.3), (w * 0.55, top - 0.3), (w + 0.12, top)], tiles)
    else:
        canvas.box(-w - 0.06, top - 0.12, w + 0.06, top, tiles)


def _openings(canvas: Canvas, look: Look, w: float, top: float, base: float) -> None:
    glass, floors = (60, 70, 92), 1 if look["height"] == "low" else 2
    for floor in range(floors):
        y = top + 0.24 + floor * (base - top - 0.2) / 2
        for x in (-w * 0.55, w * 0.55):
            if look["windows"] == "squarewindowed":
                canvas.box(x - 0.1, y - 0.1, x + 0.1, y + 0.1, glass)
            elif look["windows"] == "arched":
                canvas.ellipse(x, y - 0.1, 0.11, 0.11, glass)
                canvas.box(x - 0.11, y - 0.1, x + 0.11, y + 0.12, glass)
            elif look["windows"] == "roundwindowed":
                canvas.ellipse(x, y, 0.13, 0.13, glass)
            else:
                canvas.box(x - 0.04, y - 0.15, x + 0.04, y + 0.15, glass)
    canvas.box(-0.13, base - 0.34, 0.13, base, look.colour("door"))


GRAMMAR = Grammar(
    traits={
        "plan": tuple(_HALF_WIDTH),
        "roof": ("gabled", "domed", "spired", "hipped", "flat"),
        "towers": ("towerless", "turreted", "twintowered"),
        "height": tuple(_HEIGHT),
        "windows": ("squarewindowed", "arched", "roundwindowed", "slitted"),
        "wall": COLOUR,
        "roofing": COLOUR,
        "trim": COLOUR,
        "door": ("red", "green", "brown", "white"),
        "pattern": ("plain", "banded", "checked", "striped"),
    },
    founders=table("""
                 plan     roof    towers       height    windows         wall    roofing trim   door   pattern
        hall     hall     hipped  towerless    storeyed  squarewindowed  yellow  red     white  brown  plain
        cottage  cottage  gabled  towerless    low       squarewindowed  white   brown   brown  green  striped
        castle   keep     flat    twintowered  storeyed  slitted         grey    grey    black  brown  plain
        temple   temple   gabled  towerless    low       slitted         white   grey    white  brown  plain
        chapel   chapel   spired  turreted     storeyed  arched          brown   black   white  red    banded
        minaret  tower    domed   towerless    high      arched          white   teal    blue   green  plain
        pagoda   pagoda   hipped  towerless    high      roundwindowed   red     green   black  white  plain
    """),
    locked=("plan",),
    text_traits=("wall", "roof", "pattern", "towers", "height", "windows"),
    drift=1.9,
    scenes=("street", "park", "dusk", "overcast", "desert"),
    turn=5,
    pen=draw,
)
