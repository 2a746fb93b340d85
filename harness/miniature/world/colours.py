"""Twelve named colours and what can be done with them."""

from __future__ import annotations

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (200, 45, 45),
    "orange": (232, 130, 40),
    "yellow": (240, 208, 62),
    "green": (70, 152, 66),
    "teal": (38, 156, 152),
    "blue": (56, 98, 196),
    "purple": (128, 72, 170),
    "pink": (238, 142, 178),
    "brown": (128, 82, 46),
    "black": (46, 43, 50),
    "white": (242, 240, 232),
    "grey": (142, 144, 150),
}
"""Every colour that a trait can name."""


def shade(colour: RGB, factor: float) -> RGB:
    """The colour made darker (factor < 1) or lighter (factor > 1), each channel cut off at 255."""
    red, green, blue = colour
    return min(255, int(red * factor)), min(255, int(green * factor)), min(255, int(blue * factor))


def mix(one: RGB, other: RGB, part: float) -> RGB:
    """``part`` (0..1) of the way from one colour to the other."""
    (r0, g0, b0), (r1, g1, b1) = one, other
    return int(r0 + (r1 - r0) * part), int(g0 + (g1 - g0) * part), int(b0 + (b1 - b0) * part)


def tint(name: str, tone: float) -> RGB:
    """A named colour, up to 15 % darker or lighter as ``tone`` goes from -1 to 1."""
    return shade(COLOURS[name], 1 + 0.15 * tone)
