"""Plants_Fugi: plants and fungi, each rooted at the lower edge."""

from __future__ import annotations

import math
import random

from harness.miniature.world.canvas import Canvas
from harness.miniature.world.colours import RGB
from harness.miniature.world.grammar import COLOUR, Grammar, Look, table

_STEMS = {"single": (0.0,), "forked": (-0.32, 0.3), "tufted": (-0.42, 0.02, 0.44)}


def draw(canvas: Canvas, look: Look, rng: random.Random) -> None:
    """One, two or three shoots of the form, the middle one the tallest."""
    forms = {"tree": _tree, "mushroom": _mushroom, "flower": _flower, "cactus": _cactus, "fern": _fern, "palm": _palm}
    for lean in _STEMS[look["growth"]]:
        sway = lean + rng.uniform(-0.04, 0.04)
        forms[look["form"]](canvas, look, sway, 0.85 if len(_STEMS[look["growth"]]) == 1 else 0.68 - 0.3 * abs(lean))


def _leaf(canvas: Canvas, look: Look, x: float, y: float, turn: float, size: float) -> None:
    green = look.colour("leafage")
    if look["leaf"] == "roundleaved":
        canvas.ellipse(x, y, size * 0.75, size * 0.6, green, turn)
    elif look["leaf"] == "lanced":
        canvas.ellipse(x, y, size * 1.2, size * 0.32, green, turn)
    elif look["leaf"] == "needled":
        for d in (-0.5, 0, 0.5):
            end = (x + 1.3 * size * math.cos(turn + d), y + 1.3 * size * math.sin(turn + d))
            canvas.line([(x, y), end], 0.05, green)
    else:
        canvas.star(x, y, size * 1.1, size * 0.45, 5, green, turn)


def _bloom(canvas: Canvas, look: Look, x: float, y: float, r: float) -> None:
    petal, heart = look.colour("bloom"), look.colour("heart")
    if look["petals"] == "daisied":
        for i in range(7):
            a = math.tau * i / 7
            canvas.ellipse(x + r * 0.7 * math.cos(a), y + r * 0.7 * math.sin(a), r * 0.5, r * 0.26, petal, a)
    elif look["petals"] == "belled":
        canvas.shape([(x, y - r), (x + r * 0.5, y - r * 0.2), (x + r * 0.8, y + r * 0.7), (x, y + r * 0.4),
                      (x - r * 0.8, y + r * 0.7), (x - r * 0.5, y - r * 0.2)], petal)  # fmt: skip
        return
    elif look["petals"] == "starry":
        canvas.star(x, y, r * 1.15, r * 0.4, 5, petal)
    elif look["petals"] == "berried":
        for dx, dy in ((-0.4, 0.1), (0.4, 0.1), (0, -0.45)):
            canvas.ellipse(x + dx * r, y + dy * r, r * 0.38, r * 0.38, petal)
        return
    canvas.ellipse(x, y, r * 0.34, r * 0.34, heart)


def _stem(canvas: Canvas, x: float, top: float, width: float, colour: RGB) -> None:
    canvas.line([(x * 0.3, 0.9), (x * 0.8, 0.3), (x, top)], width, colour)


def _tree(canvas: Canvas, look: Look, x: float, tall: float) -> None:
    top = 0.6 - 1.2 * tall
    _stem(canvas, x, top, 0.16, look.colour("stalk"))
    wide = 0.36 * (1 - 0.2 * look.dials.slender)
    for dx, dy in ((-0.9, 0.3), (0.9, 0.3), (0, 0.5), (-0.5, -0.15), (0.5, -0.15), (0, -0.4)):
        _leaf(canvas, look, x + dx * wide, top + 0.15 + dy * wide, -0.5 * dx - 1.4, 0.26)
    for dx, dy in ((-0.6, 0.3), (0.55, 0.1), (0, -0.2)):
        _bloom(canvas, look, x + dx * wide, top + 0.15 + dy * wide, 0.15)


def _mushroom(canvas: Canvas, look: Look, x: float, tall: float) -> None:
    top, r = 0.5 - 0.8 * tall, 0.62 * tall * (1 - 0.15 * look.dials.slender)
    canvas.shape([(x * 0.6 - 0.14, 0.9), (x - 0.1, top), (x + 0.1, top), (x * 0.6 + 0.14, 0.9)], look.colour("stalk"))
    if look["petals"] == "belled":
        canvas.box(x - 0.2, top + 0.25, x + 0.2, top + 0.34, look.colour("heart"))
    height = {"roundleaved": 0.55, "lanced": 1.0, "needled": 0.25, "lobed": 0.45}[look["leaf"]] * (0.6 + tall * 0.4)
    arc = [(x + r * math.cos(a), top - height * math.sin(a)) for a in (math.pi * i / 10 for i in range(11))]
    waves = [(x - r + r * i / 4, top + (0.13 if i % 2 and look["leaf"] == "lobed" else 0.03)) for i in range(9)]
    canvas.shape([*arc, *waves], look.fill("bloom", "heart"))


def _flower(canvas: Canvas, look: Look, x: float, tall: float) -> None:
    top = 0.45 - 1.05 * tall
    _stem(canvas, x, top, 0.08, look.colour("stalk"))
    for side in (-1, 1):
        _leaf(canvas, look, x * 0.6 + side * 0.24, 0.42 + 0.1 * side, -side * 0.5 + (math.pi if side < 0 else 0), 0.24)
    _bloom(canvas, look, x, top, 0.42 * (0.5 + tall * 0.5) * (1 + 0.15 * look.dials.head))


def _cactus(canvas: Canvas, look: Look, x: float, tall: float) -> None:
    wide, top = 0.24 * (1 - 0.2 * look.dials.slender), 0.55 - 1.2 * tall
    body = look.fill("leafage", "heart")
    if look["leaf"] in ("lobed", "roundleaved"):
        canvas.ellipse(x * 0.8, 0.5, wide * 1.6, 0.4, body)
        canvas.ellipse(x, 0.3 - 0.4 * tall, wide * 1.2, 0.33 * tall + 0.1, body)
    else:
        canvas.ellipse(x * 0.9, (0.9 + top) / 2, wide, (0.9 - top) / 2, body)
    if look["leaf"] == "needled":
        for side in (-1, 1):
            canvas.line([(x, 0.3), (x + side * 0.42, 0.25), (x + side * 0.44, -0.1)], 0.17, body.base)
    _bloom(canvas, look, x, top + 0.05, 0.22)


def _fern(canvas: Canvas, look: Look, x: float, tall: float) -> None:
    for fan in (-0.9, -0.3, 0.3, 0.9):
        tip = (x + 0.75 * fan, 0.75 - 1.45 * tall * math.cos(fan * 0.6))
        canvas.line([(x * 0.4, 0.9), tip], 0.06, look.colour("stalk"))
        for part in (0.45, 0.7, 0.95):
            px, py = x * 0.4 + (tip[0] - x * 0.4) * part, 0.9 + (tip[1] - 0.9) * part
            _leaf(canvas, look, px, py, fan - 0.9, 0.16 + 0.03 * look.dials.head)
            _leaf(canvas, look, px, py, fan - 2.2, 0.16 + 0.03 * look.dials.head)
    _bloom(canvas, look, x, 0.6 - 0.9 * tall, 0.18)


def _palm(canvas: Canvas, look: Look, x: float, tall: float) -> None:
    top = 0.6 - 1.25 * tall
    _stem(canvas, x, top, 0.13, look.colour("stalk"))
    for i in range(6):
        a = -math.pi * (i - 0.25) / 4.5
        for part in (0.22, 0.42):
            _leaf(canvas, look, x + part * math.cos(a), top + part * math.sin(a) * 0.75, a, 0.2)
    _bloom(canvas, look, x, top + 0.1, 0.2)


GRAMMAR = Grammar(
    traits={
        "form": ("tree", "mushroom", "flower", "cactus", "fern", "palm"),
        "growth": tuple(_STEMS),
        "leaf": ("roundleaved", "lanced", "needled", "lobed"),
        "petals": ("daisied", "belled", "starry", "berried"),
        "bloom": COLOUR,
        "heart": COLOUR,
        "leafage": ("green", "teal", "yellow", "red", "purple", "grey", "orange"),
        "stalk": ("brown", "green", "white", "black", "grey"),
        "pattern": ("plain", "spotted", "striped", "banded"),
    },
    founders=table("""
                  form      growth  leaf         petals   bloom   heart   leafage  stalk  pattern
        tree      tree      single  roundleaved  berried  red     yellow  green    brown  plain
        mushroom  mushroom  single  roundleaved  belled   red     white   grey     white  spotted
        toadstool mushroom  tufted  lanced       starry   brown   orange  grey     grey   plain
        flower    flower    single  lanced       daisied  yellow  brown   green    green  plain
        cactus    cactus    single  needled      starry   pink    white   green    green  striped
        fern      fern      single  lanced       berried  orange  red     green    green  plain
        palm      palm      single  lanced       berried  brown   yellow  green    brown  banded
    """),
    locked=("form",),
    text_traits=("bloom", "growth", "petals", "leaf", "pattern"),
    drift=2.0,
    scenes=("meadow", "wood", "garden", "sand", "overcast"),
    turn=8,
    pen=draw,
)
