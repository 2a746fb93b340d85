"""Animals: four-legged, seen from the side."""

from __future__ import annotations

import math
import random

from harness.miniature.world.canvas import Canvas
from harness.miniature.world.colours import shade
from harness.miniature.world.grammar import COLOUR, Grammar, Look, table

_BODY = {"slim": (0.5, 0.2), "stout": (0.55, 0.36), "long": (0.68, 0.19), "tall": (0.46, 0.27)}
_LEG = {"short": 0.2, "middling": 0.36, "leggy": 0.56}


def draw(canvas: Canvas, look: Look, rng: random.Random) -> None:
    """Tail, legs, body, neck, head, ears, eye: from back to front."""
    rx, ry = _BODY[look["build"]]
    ry *= 1 - 0.18 * look.dials.slender
    leg, coat, marks = _LEG[look["legs"]], look.colour("coat"), look.colour("marks")
    ground = 0.85
    y = ground - leg - ry * 0.7
    _tail(canvas, look, -rx * 0.92, y)
    for x in (-0.75, -0.5, 0.5, 0.75):
        swing = rng.uniform(-0.08, 0.08)
        canvas.line([(x * rx, y + ry * 0.4), (x * rx + swing, ground)], 0.13, shade(coat, 0.75 if abs(x) < 0.6 else 1))
    r = 0.21 * (1 + 0.2 * look.dials.head)
    hx, hy = rx + 0.12, y - (0.62 if look["build"] == "tall" else 0.28)
    canvas.shape([(rx * 0.35, y - ry * 0.6), (hx - r, hy), (hx, hy + r), (rx * 0.9, y + ry * 0.4)], coat)
    canvas.ellipse(0, y, rx, ry, look.fill("coat", "marks"))
    face = marks if look["face"] == "masked" else coat
    if look["head"] == "snouted":
        canvas.shape([(hx, hy - r * 0.7), (hx + 2.1 * r, hy + r * 0.5), (hx, hy + r * 0.9)], face)
    if look["head"] == "muzzled":
        canvas.ellipse(hx + r, hy + r * 0.3, r * 0.8, r * 0.55, shade(face, 1.15))
    canvas.ellipse(hx, hy, r * (1.35 if look["head"] == "longfaced" else 1), r, face, 0.5)
    _ears(canvas, look, hx, hy, r)
    canvas.ellipse(hx + r * 0.35, hy - r * 0.15, 0.045, 0.045, (25, 20, 20))


def _tail(canvas: Canvas, look: Look, x: float, y: float) -> None:
    coat, marks = look.colour("coat"), look.colour("marks")
    if look["tail"] == "bushy":
        canvas.ellipse(x - 0.22, y - 0.12, 0.32, 0.14, coat, 0.6)
        canvas.ellipse(x - 0.4, y - 0.24, 0.12, 0.1, marks, 0.6)
    elif look["tail"] == "whiptailed":
        canvas.line([(x, y), (x - 0.2, y + 0.05), (x - 0.3, y + 0.5)], 0.07, coat)
    elif look["tail"] == "curly":
        curl = [(x - 0.16 + 0.15 * math.cos(a), y - 0.16 + 0.15 * math.sin(a)) for a in (1.2, 2.4, 3.6, 4.8, 6, 7)]
        canvas.line(curl, 0.08, coat)
    else:
        canvas.ellipse(x - 0.05, y - 0.08, 0.11, 0.11, marks)


def _ears(canvas: Canvas, look: Look, x: float, y: float, r: float) -> None:
    coat, ears = shade(look.colour("coat"), 0.85), look["ears"]
    for dx in (-0.6, 0.15):
        ex = x + dx * r
        if ears == "pricked":
            canvas.shape([(ex - 0.09, y - r * 0.7), (ex, y - r * 1.9), (ex + 0.11, y - r * 0.7)], coat)
        elif ears == "roundeared":
            canvas.ellipse(ex, y - r, 0.11, 0.11, coat)
        elif ears == "lopeared":
            canvas.ellipse(ex - 0.04, y + r * 0.3, 0.08, 0.22, coat, 0.2)
        elif ears == "longeared":
            canvas.ellipse(ex - 0.05, y - r * 1.8, 0.07, 0.27, coat, -0.2)
        else:
            canvas.line([(ex, y - r * 0.8), (ex - 0.06, y - r * 2), (ex - 0.22, y - r * 2.6)], 0.07, (225, 210, 180))


GRAMMAR = Grammar(
    traits={
        "build": tuple(_BODY),
        "legs": tuple(_LEG),
        "head": ("snouted", "muzzled", "longfaced", "roundfaced"),
        "face": ("plainfaced", "masked"),
        "ears": ("pricked", "roundeared", "lopeared", "longeared", "horned"),
        "tail": ("bushy", "whiptailed", "curly", "bobtailed"),
        "coat": COLOUR,
        "marks": COLOUR,
        "pattern": ("plain", "striped", "spotted", "banded", "patched"),
    },
    founders=table("""
              build  legs      head        face        ears        tail        coat    marks   pattern
        fox   slim   middling  snouted     plainfaced  pricked     bushy       orange  white   plain
        bear  stout  middling  muzzled     plainfaced  roundeared  bobtailed   brown   black   plain
        deer  tall   leggy     longfaced   plainfaced  horned      bobtailed   brown   white   spotted
        hare  slim   short     roundfaced  plainfaced  longeared   bobtailed   grey    white   plain
        boar  stout  short     snouted     masked      lopeared    curly       black   grey    plain
        cat   long   middling  roundfaced  plainfaced  pricked     whiptailed  yellow  black   striped
        otter long   short     muzzled     masked      roundeared  whiptailed  teal    white   plain
        goat  tall   middling  longfaced   masked      lopeared    curly       white   brown   patched
    """),
    locked=("build", "head"),
    text_traits=("coat", "pattern", "ears", "tail", "legs"),
    drift=2.4,
    scenes=("meadow", "snow", "wood", "sand", "dusk"),
    turn=12,
    pen=draw,
)
