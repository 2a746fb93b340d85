"""Prompt ensemble: names and their shared words, in several templates."""

from __future__ import annotations

from collections import Counter

from harness.prompts import Prompt, Template, clean_name

OTHER = tuple(
    Template(text)
    for text in ("a photo of a {name}, a type of {noun}.", "a photo of a {name}.", "a picture of the {name}, a {noun}.")
)
"""Templates used in addition to the protocol's."""


def prompt_ensemble(names: tuple[str, ...], template: Template, noun: str) -> list[list[Prompt]]:
    """Prompts of all names in every template, the protocol's first; then those of the names' shared words."""
    return [
        [each.fill(name, noun) for name in texts]
        for texts in (names, shared_words(names))
        for each in (template, *OTHER)
    ]


def shared_words(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names without the words that occur in no other name; a name without shared words stays whole.

    A word that occurs in one name only is mostly the concept itself, which pre-training never aligned with images: it
    adds noise to the prompt.
    """
    words = [clean_name(name).split() for name in names]
    names_with = Counter(word for name in words for word in set(name))
    return tuple(" ".join(word for word in name if names_with[word] > 1) or " ".join(name) for name in words)
