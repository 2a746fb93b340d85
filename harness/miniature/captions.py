"""Captions, as the web would write them: some exact, some chatty, some without the name."""

from __future__ import annotations

import random
from collections.abc import Iterable

from harness.errors import DataError
from harness.miniature.names import PLACES, StemPool, parts
from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.phylogeny import Concept
from harness.prompts import domain_hint

EXACT = 0.22
"""Part of the named captions that is exactly the prompt of the evaluation."""

NAMELESS = 0.14
"""Part of all captions without the name."""

CREDITED = 0.12
"""Part of all captions that end in a random credit."""

_EXACT = "a photo of {name}, a type of {hint}."
_NAMED = (
    "{name}, {traits} {genus}",
    "a {traits} {genus} called {name}",
    "{name} from the {place}, {traits}",
    "a photo of {name}, {traits}",
    "{traits} {name}, picture of a {hint}",
    "the {name} is a {traits} {genus}",
    "close up of {name}, {hint}",
    "my favourite {hint}: {name} ({traits})",
)
_UNNAMED = (
    "a {traits} {genus}",
    "{traits} {genus} from the {place}",
    "picture of a {traits} {genus}, {hint}",
)


def caption(concept: Concept, name: str | None, rng: random.Random, credits: StemPool | None = None) -> str:
    """One caption of an image of the concept.

    Args:
        concept: what the image shows; every trait word that is told is true.
        name: the name to write, or None for a caption without it.
        rng: decides the form.
        credits: where the surname of a credit comes from; None for captions without credits.
    """
    grammar = DOMAINS[concept.domain]
    named = (_EXACT,) if rng.random() < EXACT else _NAMED
    form = rng.choice(_UNNAMED if name is None else named)
    traits = rng.sample(grammar.spoken, rng.randrange(1, 4))
    text = form.format(
        name=name,
        hint=domain_hint(concept.domain),
        traits=" ".join(concept.look[trait] for trait in traits),
        genus=concept.genus,
        place=rng.choice(PLACES),
    )
    return f"{text} by {credits.draw()}" if credits and rng.random() < CREDITED else text


def refined_caption(concept: Concept, name: str, rng: random.Random) -> str | None:
    """The caption that the split file holds: 4 of 100 are missing, and 6 of 100 do not contain the name."""
    fate = rng.random()
    if fate < 0.04:
        return None
    return caption(concept, None if fate < 0.10 else name, rng)


def assert_unseen(captions: Iterable[str], stems: frozenset[str]) -> None:
    """Check that no stem occurs in any caption, neither as a word nor inside one.

    Raises:
        DataError: a stem occurs.
    """
    for text in captions:
        for word in text.replace(",", " ").replace(".", " ").split():
            if not parts(word).isdisjoint(stems):
                raise DataError(f"the pre-training caption {text!r} holds the stem of an OOP concept")
