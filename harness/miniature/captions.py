"""Captions as on the web: some exact, some chatty, some without the name."""

from __future__ import annotations

import random
from collections.abc import Iterable

from harness.errors import DataError
from harness.miniature.names import PLACES, StemPool, parts
from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.phylogeny import Concept
from harness.prompts import domain_noun

EXACT = 0.22
"""Fraction of the captions with a name that are exactly the prompt of the evaluation."""

NAMELESS = 0.14
"""Fraction of captions without the name."""

CREDITED = 0.12
"""Fraction of captions that end in a random credit."""

_EXACT = "a photo of {name}, a type of {noun}."
_NAMED = (
    "{name}, {traits} {genus}",
    "a {traits} {genus} called {name}",
    "{name} from the {place}, {traits}",
    "a photo of {name}, {traits}",
    "{traits} {name}, picture of a {noun}",
    "the {name} is a {traits} {genus}",
    "close up of {name}, {noun}",
    "my favourite {noun}: {name} ({traits})",
)
_UNNAMED = (
    "a {traits} {genus}",
    "{traits} {genus} from the {place}",
    "picture of a {traits} {genus}, {noun}",
)


_DESCRIPTIONS = (
    "{name} is a {traits} {genus}.",
    "a photo of {name}, {traits}.",
    "a {traits} {genus}, a type of {noun}.",
    "the {traits} {genus} called {name}.",
    "{name}, a {noun}: {traits} {genus}.",
)
"""Forms of the sentences about a name, one each."""


def caption(concept: Concept, name: str | None, rng: random.Random, credits: StemPool | None = None) -> str:
    """One caption of an image of the concept.

    Args:
        concept: what the image shows; every trait word of the caption is true.
        name: the name to write, or None for a caption without it.
        rng: chooses the form.
        credits: source of the surnames of credits; None for captions without credits.
    """
    grammar = DOMAINS[concept.domain]
    named = (_EXACT,) if rng.random() < EXACT else _NAMED
    form = rng.choice(_UNNAMED if name is None else named)
    traits = rng.sample(grammar.text_traits, rng.randrange(1, 4))
    text = form.format(
        name=name,
        noun=domain_noun(concept.domain),
        traits=" ".join(concept.look[trait] for trait in traits),
        genus=concept.genus,
        place=rng.choice(PLACES),
    )
    return f"{text} by {credits.draw()}" if credits and rng.random() < CREDITED else text


def refined_caption(concept: Concept, name: str, rng: random.Random) -> str | None:
    """The caption in the split file: 4 % are missing, and 6 % do not contain the name."""
    fate = rng.random()
    if fate < 0.04:
        return None
    return caption(concept, None if fate < 0.10 else name, rng)


def descriptions(concept: Concept, name: str, rng: random.Random) -> list[str]:
    """Sentences about a name, as a language model would write them; every trait word is true."""
    grammar = DOMAINS[concept.domain]
    written = []
    for form in _DESCRIPTIONS:
        traits = rng.sample(grammar.text_traits, 3)
        words = " ".join(concept.look[trait] for trait in traits)
        written.append(form.format(name=name, noun=domain_noun(concept.domain), traits=words, genus=concept.genus))
    return written


def assert_unseen(captions: Iterable[str], stems: frozenset[str]) -> None:
    """Check that no stem occurs in any caption, neither as a word nor inside one.

    Raises:
        DataError: a stem occurs.
    """
    for text in captions:
        for word in text.replace(",", " ").replace(".", " ").split():
            if not parts(word).isdisjoint(stems):
                raise DataError(f"the pre-training caption {text!r} contains the stem of an OOP concept")
