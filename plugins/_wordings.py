"""The names of a vocabulary in other words: what a name tells, it tells in each of them."""

from __future__ import annotations

from collections import Counter

from harness.prompts import Prompt, Template, clean_name

OTHER = tuple(
    Template(text)
    for text in ("a photo of a {name}, a type of {hint}.", "a photo of a {name}.", "a picture of the {name}, a {hint}.")
)
"""Prompts beside the protocol's."""


def wordings(names: tuple[str, ...], template: Template, hint: str) -> list[list[Prompt]]:
    """The prompts of all names in every wording, the protocol's first: whole names, then the words that they share."""
    return [
        [each.fill(name, hint) for name in spoken]
        for spoken in (names, shared_words(names))
        for each in (template, *OTHER)
    ]


def shared_words(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names without the words that stand in no other one; whole where nothing would be left.

    A word of one name alone is mostly the name itself, which pre-training never aligned with an image: it tells
    nothing, and moves the prompt away from what the other words tell.
    """
    words = [clean_name(name).split() for name in names]
    names_with = Counter(word for name in words for word in set(name))
    return tuple(" ".join(word for word in name if names_with[word] > 1) or " ".join(name) for name in words)
