"""Insects_Spiders: seen from above, lying in any direction."""

from __future__ import annotations

import random

from harness.miniature.world.canvas import Canvas
from harness.miniature.world.colours import RGB, shade
from harness.miniature.world.grammar import COLOUR, Grammar, Look, table

_ABDOMEN = {"oval": (0.3, 0.42), "slim": (0.11, 0.6), "globed": (0.4, 0.4), "tapered": (0.2, 0.5)}


def draw(canvas: Canvas, look: Look, rng: random.Random) -> None:
    """Legs, hind body, wings, breast, head, feelers."""
    rx, ry = _ABDOMEN[look["abdomen"]]
    rx *= 1 - 0.15 * look.dials.slender
    body, limb = look.fill("body", "marks"), shade(look.colour("limbs"), 0.9)
    _legs(canvas, look, limb, rng)
    below = body if look["wings"] != "cased" else shade(body.base, 0.7)
    if look["abdomen"] == "tapered":
        canvas.shape([(-rx, -0.05), (rx, -0.05), (rx * 0.8, 0.4), (0, 0.85), (-rx * 0.8, 0.4)], below)
    else:
        canvas.ellipse(0, ry - 0.08, rx, ry, below)
    _wings(canvas, look)
    breast = shade(body.base, 0.85) if look["collar"] == "uncollared" else look.colour("marks")
    canvas.ellipse(0, -0.2, 0.19, 0.2, breast)
    r = 0.15 * (1 + 0.25 * look.dials.head)
    canvas.ellipse(0, -0.45, r, r, shade(body.base, 0.7))
    for side in (-1, 1):
        canvas.ellipse(side * r * 0.75, -0.52, 0.05, 0.05, look.colour("limbs"))
        _feeler(canvas, look["feelers"], side, r, limb)


def _legs(canvas: Canvas, look: Look, colour: RGB, rng: random.Random) -> None:
    pairs = 4 if look["kind"] == "eight" else 3
    reach = {"shortlegged": 0.55, "longlegged": 0.95}[look["legs"]]
    for i in range(pairs):
        y = -0.3 + 0.14 * i
        slope = (i - (pairs - 1) / 2) * 0.42 + rng.uniform(-0.06, 0.06)
        for side in (-1, 1):
            knee = (side * reach * 0.6, y + slope * 0.5 - 0.1)
            canvas.line([(0, y), knee, (side * reach, y + slope + 0.1)], 0.06, colour)


def _wings(canvas: Canvas, look: Look) -> None:
    wing, size = look.fill("wing", "marks"), 1 + 0.1 * look.dials.slender
    for side in (-1, 1):
        if look["wings"] == "cased":
            canvas.shape([(0, -0.08), (side * 0.36, 0.02), (side * 0.38, 0.4), (side * 0.05, 0.78), (0, 0.7)], wing)
        elif look["wings"] == "broad":
            canvas.ellipse(side * 0.42, 0.3, 0.36 * size, 0.3, wing, -side * 0.5)
            canvas.shape(
                [(side * 0.08, -0.1), (side * 0.85 * size, -0.65), (side * 0.95 * size, -0.2), (side * 0.3, 0.15)], wing
            )
        elif look["wings"] == "narrow":
            canvas.ellipse(side * 0.52, -0.24, 0.48 * size, 0.1, wing, side * -0.18)
            canvas.ellipse(side * 0.48, 0.0, 0.45 * size, 0.1, wing, side * 0.15)
        elif look["wings"] == "swept":
            canvas.ellipse(side * 0.34, 0.22, 0.48 * size, 0.17, wing, side * 0.9)


def _feeler(canvas: Canvas, feelers: str, side: int, r: float, colour: RGB) -> None:
    tip = (side * 0.32, -0.95)
    if feelers == "clubbed":
        canvas.line([(side * r * 0.4, -0.5), tip], 0.04, colour)
        canvas.ellipse(*tip, 0.07, 0.07, colour)
    elif feelers == "longhorned":
        canvas.line([(side * r * 0.4, -0.5), (side * 0.3, -0.85), (side * 0.75, -0.95)], 0.045, colour)
    elif feelers == "jawed":
        canvas.line([(side * r * 0.6, -0.5), (side * 0.24, -0.72), (side * 0.04, -0.8)], 0.08, colour)


GRAMMAR = Grammar(
    traits={
        "kind": ("six", "eight"),
        "wings": ("cased", "broad", "narrow", "swept", "wingless"),
        "abdomen": tuple(_ABDOMEN),
        "legs": ("shortlegged", "longlegged"),
        "feelers": ("clubbed", "longhorned", "jawed", "feelerless"),
        "collar": ("uncollared", "collared"),
        "body": COLOUR,
        "wing": COLOUR,
        "marks": COLOUR,
        "limbs": ("black", "brown", "orange", "grey"),
        "pattern": ("plain", "striped", "banded", "spotted", "patched"),
    },
    founders=table("""
                  kind  wings    abdomen legs        feelers    collar     body   wing   marks  limbs  pattern
        beetle    six   cased    oval    shortlegged jawed      uncollared black  green  yellow black  plain
        ladybird  six   cased    globed  shortlegged feelerless collared   black  red    black  black  spotted
        butterfly six   broad    slim    shortlegged clubbed    uncollared brown  orange black  black  patched
        dragonfly six   narrow   slim    shortlegged feelerless uncollared teal   white  blue   black  banded
        wasp      six   swept    tapered longlegged  longhorned uncollared yellow grey   black  orange banded
        ant       six   wingless oval    longlegged  jawed      uncollared brown  white  red    brown  plain
        spider    eight wingless globed  longlegged  feelerless collared   grey   white  brown  brown  striped
    """),
    locked=("kind", "wings"),
    text_traits=("body", "pattern", "feelers", "abdomen", "legs"),
    drift=3.6,
    scenes=("leaf", "bark", "sand", "slate", "plaster"),
    turn=180,
    pen=draw,
)
