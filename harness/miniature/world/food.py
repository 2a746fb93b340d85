"""Food: dishes seen from above at a slant."""

from __future__ import annotations

import math
import random

from harness.miniature.world.canvas import Canvas
from harness.miniature.world.colours import RGB, shade
from harness.miniature.world.grammar import COLOUR, Grammar, Look, table


def draw(canvas: Canvas, look: Look, rng: random.Random) -> None:
    """Dish, main, topping, garnish."""
    china, rim = look.colour("china"), look.colour("rim")
    if look["dish"] == "plated":
        canvas.ellipse(0, 0.3, 0.95, 0.55, rim)
        canvas.ellipse(0, 0.3, 0.82, 0.45, china)
    elif look["dish"] == "bowled":
        canvas.shape([(-0.85, 0.15), (0.85, 0.15), (0.45, 0.85), (-0.45, 0.85)], china)
        canvas.ellipse(0, 0.15, 0.86, 0.36, rim)
        canvas.ellipse(0, 0.15, 0.76, 0.29, shade(china, 0.8))
    elif look["dish"] == "boarded":
        canvas.box(-0.95, 0.0, 0.95, 0.75, (176, 128, 78))
        canvas.line([(-0.9, 0.6), (0.9, 0.6)], 0.06, rim)
    else:
        canvas.shape([(-1, 0.35), (-0.3, -0.15), (0.4, -0.1), (1, 0.3), (0.3, 0.78), (-0.4, 0.75)], (92, 160, 80))
        canvas.line([(-0.95, 0.35), (0.95, 0.3)], 0.04, (60, 110, 55))
    spots = _main(canvas, look)
    _topping(canvas, look, spots)
    _garnish(canvas, look["garnish"], look.colour("rim"), rng.uniform(-0.06, 0.06))


def _main(canvas: Canvas, look: Look) -> list[tuple[float, float]]:
    """Draws the main and returns where toppings are placed."""
    main, colour, dark = look["main"], look.colour("main_colour"), shade(look.colour("main_colour"), 0.75)
    wide = 0.55 * (1 - 0.12 * look.dials.slender)
    if main == "cake":
        canvas.shape([(-wide, -0.1), (wide, -0.1), (wide, 0.35), (-wide, 0.35)], dark)
        canvas.ellipse(0, 0.35, wide, 0.22, dark)
        canvas.ellipse(0, -0.1, wide, 0.24, colour)
        return [(-0.3, -0.12), (0, -0.2), (0.3, -0.12), (0, 0.02)]
    if main == "soup":
        canvas.ellipse(0, 0.2, 0.7, 0.28, colour)
        return [(-0.35, 0.17), (0.02, 0.08), (0.36, 0.2), (0, 0.33)]
    if main == "noodles":
        canvas.ellipse(0, 0.15, wide + 0.1, 0.3, dark)
        for i in range(7):
            curl = [(-0.5 + 0.16 * j, 0.15 + 0.24 * math.sin(1.7 * j + i)) for j in range(7)]
            canvas.line(curl, 0.05, colour)
        return [(-0.25, 0.05), (0.05, -0.05), (0.3, 0.1), (0.02, 0.25)]
    if main == "dumpling":
        for x, y in ((-0.4, 0.2), (0.4, 0.2), (0, 0.0), (0, 0.4)):
            canvas.ellipse(x, y, 0.26, 0.19, colour)
            canvas.line([(x - 0.12, y - 0.08), (x, y - 0.15), (x + 0.12, y - 0.08)], 0.04, dark)
        return [(-0.4, 0.12), (0.4, 0.12), (0, -0.1), (0, 0.34)]
    if main == "loaf":
        canvas.ellipse(0, 0.15, 0.72, 0.32 * (1 - 0.2 * look.dials.slender), colour)
        for x in (-0.35, 0, 0.35):
            canvas.line([(x - 0.1, 0.25), (x + 0.1, -0.05)], 0.06, dark)
        return [(-0.45, 0.05), (-0.15, -0.02), (0.18, 0.0), (0.48, 0.08)]
    if main == "pie":
        canvas.shape([(-0.75, 0.35), (0.75, -0.1), (0.75, 0.15), (-0.75, 0.55)], dark)
        canvas.shape([(-0.75, 0.35), (0.45, -0.4), (0.8, -0.1)], colour)
        return [(-0.25, 0.1), (0.1, -0.03), (0.4, -0.1), (0.35, -0.25)]
    canvas.shape([(-0.6, 0.35), (-0.4, -0.1), (0, -0.32), (0.4, -0.1), (0.6, 0.35), (0, 0.45)], colour)
    for x, y in ((-0.35, 0.2), (-0.1, 0.3), (0.2, 0.28), (0.42, 0.2), (-0.2, 0), (0.2, 0.02)):
        canvas.line([(x, y), (x + 0.08, y + 0.04)], 0.04, dark)
    return [(-0.22, -0.05), (0, -0.22), (0.22, -0.05), (0, 0.1)]


def _topping(canvas: Canvas, look: Look, spots: list[tuple[float, float]]) -> None:
    colour, size = look.colour("top_colour"), 0.11 * (1 + 0.25 * look.dials.head)
    for x, y in spots:
        if look["topping"] == "berried":
            canvas.ellipse(x, y, size, size, colour)
        elif look["topping"] == "shredded":
            for d in (-0.09, 0, 0.09):
                canvas.line([(x + d, y - 0.1), (x - d, y + 0.1)], 0.035, colour)
        elif look["topping"] == "creamy":
            canvas.ellipse(x, y, size * 1.5, size * 0.9, colour)
            canvas.ellipse(x, y - 0.07, size * 0.8, size * 0.6, shade(colour, 1.15))
        elif look["topping"] == "cubed":
            canvas.box(x - size * 0.9, y - size * 0.9, x + size * 0.9, y + size * 0.9, colour)


def _garnish(canvas: Canvas, garnish: str, colour: RGB, shift: float) -> None:
    if garnish == "herbed":
        for turn in (-0.7, 0, 0.7):
            canvas.ellipse(0.2 * turn + shift, -0.52 + 0.1 * abs(turn), 0.07, 0.2, (58, 140, 58), turn)
    elif garnish == "skewered":
        for x in (-0.25, 0.15):
            canvas.line([(x + shift, -0.85), (x + 0.2, 0.1)], 0.06, colour)
    elif garnish == "sliced":
        canvas.ellipse(0.62, -0.2 + shift, 0.2, 0.2, (246, 224, 90))
        canvas.ellipse(0.62, -0.2 + shift, 0.13, 0.13, (250, 242, 180))
    elif garnish == "steaming":
        for x in (-0.3, 0.05, 0.4):
            puff = [(x, -0.4), (x + 0.09, -0.58), (x - 0.05, -0.74), (x + 0.05 + shift, -0.92)]
            canvas.line(puff, 0.06, (235, 235, 240))


GRAMMAR = Grammar(
    traits={
        "main": ("cake", "soup", "noodles", "dumpling", "loaf", "pie", "rice"),
        "dish": ("plated", "bowled", "boarded", "wrapped"),
        "main_colour": COLOUR,
        "top_colour": COLOUR,
        "topping": ("berried", "shredded", "creamy", "cubed", "bare"),
        "garnish": ("herbed", "skewered", "sliced", "steaming", "ungarnished"),
        "china": ("white", "blue", "black", "red", "grey"),
        "rim": ("white", "blue", "orange", "brown", "teal"),
    },
    founders=table("""
                  main      dish     main_colour  top_colour  topping   garnish      china  rim
        cake      cake      plated   pink         red         berried   ungarnished  white  blue
        soup      soup      bowled   orange       white       creamy    steaming     blue   white
        noodles   noodles   bowled   yellow       green       shredded  skewered     red    brown
        dumpling  dumpling  wrapped  white        brown       bare      steaming     white  brown
        bread     loaf      boarded  brown        yellow      bare      ungarnished  grey   brown
        pie       pie       plated   orange       white       creamy    ungarnished  white  teal
        rice      rice      plated   white        green       cubed     herbed       black  orange
    """),
    locked=("main",),
    text_traits=("main_colour", "topping", "garnish", "dish"),
    drift=2.0,
    scenes=("table", "cloth", "wood panel", "slate", "picnic"),
    turn=10,
    pen=draw,
)
