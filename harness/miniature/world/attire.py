"""Attire: garments laid out or worn by a stand."""

from __future__ import annotations

import random

from harness.miniature.world.canvas import Canvas, Fill
from harness.miniature.world.colours import RGB, shade
from harness.miniature.world.grammar import COLOUR, Grammar, Look, table

_CUT = {  # half width at the waist, half width at the hem, position of the hem
    "gown": (0.24, 0.72, 0.95),
    "coat": (0.38, 0.5, 0.85),
    "tunic": (0.36, 0.42, 0.45),
    "robe": (0.44, 0.6, 0.95),
    "vest": (0.32, 0.34, 0.2),
    "cape": (0.55, 0.85, 0.7),
    "frock": (0.26, 0.66, 0.5),
}
_SLEEVE = {  # length, half width of the cuff
    "sleeveless": (0.0, 0.0),
    "shortsleeved": (0.42, 0.13),
    "longsleeved": (1.0, 0.1),
    "belled": (0.92, 0.24),
}


def draw(canvas: Canvas, look: Look, rng: random.Random) -> None:
    """Sleeves, body, belt, collar, and the front of what opens."""
    waist, hem, bottom = _CUT[look["cut"]]
    hem *= 1 - 0.15 * look.dials.slender
    cloth, trim = look.fill("cloth", "print"), look.colour("trim")
    shoulder = 0.4 + 0.05 * look.dials.head
    _sleeves(canvas, look, cloth, trim, shoulder)
    sag = rng.uniform(-0.04, 0.04)
    right = [(shoulder, -0.72), (waist, -0.05), (hem, bottom + sag)]
    left = [(-hem, bottom - sag), (-waist, -0.05), (-shoulder, -0.72)]
    canvas.shape([(0.16, -0.82), *right, *left, (-0.16, -0.82)], cloth)
    if look["hem"] == "hemmed":
        canvas.shape([(hem * 0.95, bottom - 0.13), (hem, bottom), (-hem, bottom), (-hem * 0.95, bottom - 0.13)], trim)
    elif look["hem"] == "fringed":
        for i in range(9):
            x = hem * (i - 4) / 4.2
            canvas.line([(x, bottom - 0.04), (x, bottom + 0.13)], 0.05, trim)
    if look["cut"] in ("coat", "vest", "robe"):
        canvas.line([(0, -0.7), (0, bottom)], 0.05, shade(cloth.base, 0.5))
    if look["belt"] == "belted":
        canvas.box(-waist - 0.03, -0.11, waist + 0.03, 0.03, trim)
    elif look["belt"] == "sashed":
        canvas.shape([(-shoulder, -0.68), (-shoulder + 0.16, -0.74), (waist, 0.02), (waist - 0.1, 0.12)], trim)
    _collar(canvas, look["collar"], cloth.base, trim)


def _sleeves(canvas: Canvas, look: Look, cloth: Fill, trim: RGB, shoulder: float) -> None:
    length, cuff = _SLEEVE[look["sleeves"]]
    for side in (-1, 1):
        if look["sleeves"] != "sleeveless":
            x, y = side * (shoulder + 0.42 * length), -0.6 + 0.72 * length
            top = side * shoulder
            canvas.shape([(top, -0.73), (x + side * cuff, y - 0.05), (x - side * cuff, y + 0.1), (top, -0.38)], cloth)
            canvas.line([(x + side * cuff, y - 0.05), (x - side * cuff, y + 0.1)], 0.08, trim)


def _collar(canvas: Canvas, collar: str, cloth: RGB, trim: RGB) -> None:
    if collar == "vnecked":
        canvas.shape([(-0.17, -0.84), (0, -0.48), (0.17, -0.84)], trim)
    elif collar == "ruffed":
        canvas.ellipse(0, -0.8, 0.3, 0.11, trim)
    elif collar == "hooded":
        canvas.ellipse(0, -0.88, 0.24, 0.22, cloth)
        canvas.ellipse(0, -0.84, 0.14, 0.14, shade(cloth, 0.4))
    else:
        canvas.ellipse(0, -0.82, 0.17, 0.08, shade(cloth, 0.45))


GRAMMAR = Grammar(
    traits={
        "cut": tuple(_CUT),
        "sleeves": tuple(_SLEEVE),
        "collar": ("vnecked", "ruffed", "hooded", "crewnecked"),
        "belt": ("beltless", "belted", "sashed"),
        "hem": ("plainhemmed", "hemmed", "fringed"),
        "cloth": COLOUR,
        "print": COLOUR,
        "trim": COLOUR,
        "pattern": ("plain", "striped", "banded", "spotted", "checked"),
    },
    founders=table("""
               cut    sleeves       collar      belt      hem          cloth   print   trim    pattern
        gown   gown   sleeveless    vnecked     sashed    plainhemmed  purple  pink    yellow  plain
        coat   coat   longsleeved   crewnecked  beltless  plainhemmed  brown   black   black   checked
        tunic  tunic  shortsleeved  vnecked     belted    hemmed       green   white   yellow  plain
        robe   robe   belled        crewnecked  sashed    hemmed       red     orange  yellow  plain
        vest   vest   sleeveless    crewnecked  beltless  plainhemmed  blue    white   grey    striped
        cape   cape   sleeveless    hooded      beltless  fringed      black   red     red     plain
        frock  frock  shortsleeved  ruffed      belted    plainhemmed  pink    white   teal    spotted
    """),
    locked=("cut",),
    text_traits=("cloth", "pattern", "sleeves", "collar", "belt"),
    drift=2.2,
    scenes=("wall", "cloth", "wardrobe", "street"),
    turn=14,
    pen=draw,
)
