"""Pokemon: small creatures looking at you."""

from __future__ import annotations

import math
import random

from harness.miniature.world.canvas import Canvas
from harness.miniature.world.colours import shade
from harness.miniature.world.grammar import COLOUR, Grammar, Look, table


def draw(canvas: Canvas, look: Look, rng: random.Random) -> None:
    """Tail, ears, feet, body, belly, face."""
    skin = look.fill("skin", "marks")
    w = 0.58 * (1 - 0.15 * look.dials.slender)
    _tail(canvas, look)
    _ears(canvas, look, w)
    for side in (-1, 1):
        canvas.ellipse(side * w * 0.55, 0.8, 0.2, 0.13, shade(skin.base, 0.8))
        lift = rng.uniform(-0.1, 0.1)
        canvas.ellipse(side * (w + 0.05), 0.25 + lift, 0.2, 0.1, skin.base, side * (0.5 + lift))
    if look["shape"] == "egg":
        canvas.ellipse(0, 0.15, w, 0.66, skin)
    elif look["shape"] == "ball":
        canvas.ellipse(0, 0.2, w * 1.12, 0.58, skin)
    elif look["shape"] == "block":
        canvas.shape([(-w, -0.35), (-w * 0.8, -0.5), (w * 0.8, -0.5), (w, -0.35), (w, 0.75), (-w, 0.75)], skin)
    elif look["shape"] == "drop":
        canvas.shape([(0, -0.75), (w * 0.55, -0.2), (w, 0.35), (w * 0.7, 0.78), (-w * 0.7, 0.78), (-w, 0.35),
                      (-w * 0.55, -0.2)], skin)  # fmt: skip
    elif look["shape"] == "gourd":
        canvas.ellipse(0, 0.4, w * 1.05, 0.42, skin)
        canvas.ellipse(0, -0.22, w * 0.78, 0.38, skin)
    else:
        canvas.star(0, 0.15, 0.85, 0.52, 5, skin)
    if look["belly"] == "bellied":
        canvas.ellipse(0, 0.48, w * 0.55, 0.25, look.colour("marks"))
    _face(canvas, look, 1 + 0.2 * look.dials.head)


def _tail(canvas: Canvas, look: Look) -> None:
    colour = look.colour("tip")
    if look["tail"] == "boltailed":
        bolt = [(0.4, 0.55), (0.75, 0.3), (0.66, 0.1), (1.0, -0.35), (0.88, 0.02), (1.0, 0.2), (0.6, 0.68)]
        canvas.shape(bolt, colour)
    elif look["tail"] == "flaming":
        canvas.line([(0.4, 0.6), (0.8, 0.35)], 0.12, look.colour("skin"))
        canvas.shape([(0.66, 0.35), (0.7, 0), (0.84, 0.1), (0.9, -0.25), (1.02, 0.1), (0.98, 0.38)], colour)
    elif look["tail"] == "leaftailed":
        canvas.ellipse(0.78, 0.2, 0.42, 0.17, colour, -1)
    elif look["tail"] == "curltailed":
        curl = [(0.8 + 0.24 * math.cos(a), 0.25 + 0.24 * math.sin(a)) for a in (2, 1, 0, -1, -2, -3, -4)]
        canvas.line([(0.4, 0.62), *curl], 0.12, colour)


def _ears(canvas: Canvas, look: Look, w: float) -> None:
    skin, tip = shade(look.colour("skin"), 0.9), look.colour("tip")
    for side in (-1, 1):
        x = side * w * 0.6
        if look["ears"] == "eared":
            canvas.shape([(x - side * 0.16, -0.25), (x + side * 0.2, -0.95), (x + side * 0.25, -0.15)], skin)
            canvas.shape([(x + side * 0.09, -0.68), (x + side * 0.2, -0.95), (x + side * 0.22, -0.66)], tip)
        elif look["ears"] == "mousy":
            canvas.ellipse(x + side * 0.06, -0.5, 0.25, 0.25, skin)
            canvas.ellipse(x + side * 0.06, -0.5, 0.13, 0.13, tip)
        elif look["ears"] == "horned":
            canvas.shape([(x - 0.1, -0.3), (x + side * 0.1, -0.85), (x + 0.1, -0.3)], (235, 225, 200))
        elif look["ears"] == "antennaed":
            canvas.line([(x * 0.5, -0.3), (x, -0.85)], 0.06, skin)
            canvas.ellipse(x, -0.88, 0.1, 0.1, tip)
        elif look["ears"] == "finned":
            canvas.shape([(x, -0.2), (side * 0.95, -0.5), (side * 0.8, -0.2), (side * 0.92, 0.05), (x, 0.1)], tip)


def _face(canvas: Canvas, look: Look, size: float) -> None:
    white, dark, y = (250, 250, 250), (28, 24, 34), -0.05
    if look["eyes"] == "oneeyed":
        canvas.ellipse(0, y, 0.24 * size, 0.24 * size, white)
        canvas.ellipse(0, y, 0.11 * size, 0.13 * size, dark)
        return
    for side in (-1, 1):
        x = side * 0.23
        if look["eyes"] == "wideeyed":
            canvas.ellipse(x, y, 0.15 * size, 0.17 * size, white)
            canvas.ellipse(x, y, 0.08 * size, 0.1 * size, dark)
        elif look["eyes"] == "fierce":
            slant = [(x - side * 0.12, y + 0.08), (x + side * 0.17 * size, y - 0.14), (x + side * 0.12, y + 0.1)]
            canvas.shape(slant, white)
        elif look["eyes"] == "sleepy":
            canvas.line([(x - 0.13, y), (x, y + 0.08), (x + 0.13, y)], 0.06, dark)
        else:
            canvas.ellipse(x, y, 0.07 * size, 0.1 * size, dark)
        canvas.ellipse(side * 0.36, y + 0.22, 0.07, 0.05, look.colour("tip"))
    canvas.line([(-0.1, y + 0.24), (0, y + 0.3), (0.1, y + 0.24)], 0.05, dark)


GRAMMAR = Grammar(
    traits={
        "shape": ("egg", "ball", "block", "drop", "gourd", "star"),
        "ears": ("eared", "mousy", "horned", "antennaed", "finned", "earless"),
        "tail": ("boltailed", "flaming", "leaftailed", "curltailed", "tailless"),
        "eyes": ("oneeyed", "wideeyed", "fierce", "sleepy", "beady"),
        "belly": ("bellied", "bellyless"),
        "skin": COLOUR,
        "marks": COLOUR,
        "tip": COLOUR,
        "pattern": ("plain", "striped", "banded", "spotted", "patched"),
    },
    founders=table("""
                shape  ears       tail        eyes      belly      skin    marks   tip     pattern
        sprite  egg    eared      boltailed   wideeyed  bellyless  yellow  brown   red     plain
        puff    ball   mousy      tailless    wideeyed  bellied    pink    white   purple  plain
        golem   block  earless    tailless    fierce    bellyless  grey    brown   orange  patched
        drake   drop   horned     flaming     fierce    bellied    orange  yellow  red     plain
        imp     gourd  antennaed  curltailed  sleepy    bellyless  green   purple  pink    spotted
        nova    star   finned     tailless    oneeyed   bellied    blue    white   yellow  plain
    """),
    locked=("shape",),
    text_traits=("skin", "ears", "pattern", "tail", "eyes"),
    drift=2.0,
    scenes=("park", "dusk", "meadow", "cave", "plaster"),
    turn=12,
    pen=draw,
)
