"""The parts of a domain: traits with named values, genera with hand-chosen founders, and a pen that draws."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from harness.miniature.world.canvas import Canvas, Fill
from harness.miniature.world.colours import COLOURS, RGB, tint

COLOUR = tuple(COLOURS)
"""The values of a trait that is a colour."""


class Dials(NamedTuple):
    """The four continuous traits of a concept, each in -1..1."""

    slender: float
    head: float
    tone: float
    grain: float


@dataclass(frozen=True)
class Look:
    """Everything that a pen needs to know about a concept."""

    traits: dict[str, str]
    dials: Dials

    def __getitem__(self, trait: str) -> str:
        return self.traits[trait]

    def colour(self, trait: str) -> RGB:
        """The colour that a trait names, in the concept's own tone."""
        return tint(self.traits[trait], self.dials.tone)

    def fill(self, base: str, mark: str, pattern: str = "pattern") -> Fill:
        """The fill made of two colour traits and a pattern trait."""
        return Fill(self.colour(base), self.colour(mark), self.traits[pattern], self.dials.grain)


Pen = Callable[[Canvas, Look, random.Random], None]
"""Draws one concept; the generator is for what differs from image to image, such as a pose."""


@dataclass(frozen=True)
class Grammar:
    """The grammar of one domain.

    Attributes:
        traits: trait -> its values; a value is also the word for it, so no two ``text_traits`` share one.
        founders: genus -> the traits of its first species.
        locked: traits that a genus keeps: what makes a mushroom a mushroom.
        text_traits: traits that names and captions may mention, the most salient first.
        drift: how many traits a new species redraws on average; more makes species easier to distinguish.
        scenes: backgrounds, by their names in ``scene.py``.
        turn: the greatest rotation of an image, in degrees.
        pen: the renderer.
    """

    traits: dict[str, tuple[str, ...]]
    founders: dict[str, dict[str, str]]
    locked: tuple[str, ...]
    text_traits: tuple[str, ...]
    drift: float
    scenes: tuple[str, ...]
    turn: float
    pen: Pen

    def __post_init__(self) -> None:
        for genus, founder in self.founders.items():
            for trait, value in founder.items():
                if value not in self.traits[trait]:
                    raise ValueError(f"founder {genus}: {value!r} is not a value of {trait}")
        words = [word for trait in self.text_traits for word in self.traits[trait]]
        if len(words) != len(set(words)):
            raise ValueError("two text traits share a word")


def table(text: str) -> dict[str, dict[str, str]]:
    """Founders from a table: the first line names the traits, each further line is a genus and its values."""
    head, *rows = (line.split() for line in text.strip().splitlines())
    return {genus: dict(zip(head, values, strict=True)) for genus, *values in rows}
