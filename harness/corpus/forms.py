"""The forms of a name that the rules search: its characters, and its folded words with the last one in both numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.corpus.folding import Kind, clean, fold, kind

IRREGULAR = {
    "man": "men",
    "woman": "women",
    "child": "children",
    "person": "people",
    "mouse": "mice",
    "louse": "lice",
    "goose": "geese",
    "foot": "feet",
    "tooth": "teeth",
    "ox": "oxen",
    "die": "dice",
    "cactus": "cacti",
    "fungus": "fungi",
    "larva": "larvae",
}
"""Singular -> plural that no rule gives."""

_SINGULAR = {plural: singular for singular, plural in IRREGULAR.items()}
_HISSING = ("s", "x", "z", "ch", "sh", "o")


@dataclass(frozen=True)
class Form:
    """One text that names a concept.

    Attributes:
        concept: position of the concept.
        own: whether it is the name itself, not a synonym.
        literal: the cleaned text; the rule ``phrase`` compares its characters.
        offset: where its first word begins in ``literal``.
        tail: characters of ``literal`` after its last word.
        words: its folded words but the last.
        last: the last word, then its other number.
    """

    concept: int
    own: bool
    literal: str
    offset: int
    tail: int
    words: tuple[str, ...]
    last: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """The same for forms that are found in the same captions when folded."""
        return (*self.words, *self.last)


def forms_of(concepts: Mapping[str, Sequence[str]]) -> list[Form]:
    """The forms of all names and synonyms, in their order; without those that are empty after folding."""
    return [
        found
        for number, (name, synonyms) in enumerate(concepts.items())
        for position, text in enumerate((name, *synonyms))
        if (found := form(number, position == 0, text))
    ]


def form(concept: int, own: bool, text: str) -> Form | None:
    """The form of a text; None if no word is left after folding."""
    literal = clean(text)
    words = fold(literal)
    if not words:
        return None
    *before, last = words
    spaceless = kind(literal[last.begin]) == Kind.SYLLABLE
    return Form(
        concept=concept,
        own=own,
        literal=literal,
        offset=words[0].begin,
        tail=len(literal) - last.end,
        words=tuple(word.text for word in before),
        last=(last.text,) if spaceless else numbers(last.text),
    )


def numbers(word: str) -> tuple[str, ...]:
    """A word, then its plurals and singulars by the rules of English spelling.

    A word that does not end in s is always given with one, because a possessive s is folded to that.
    """
    return tuple(dict.fromkeys((word, *_plurals(word), *_singulars(word))))


def _plurals(word: str) -> list[str]:
    found = [IRREGULAR[word]] if word in IRREGULAR else []
    if not word.endswith("s"):
        found.append(f"{word}s")
    if word.endswith(_HISSING):
        found.append(f"{word}es")
    if word.endswith("y") and word[-2:-1] not in ("", *"aeiou"):
        found.append(f"{word[:-1]}ies")
    if word.endswith(("f", "fe")):
        found.append(f"{word.removesuffix('e')[:-1]}ves")
    return found


def _singulars(word: str) -> list[str]:
    found = [_SINGULAR[word]] if word in _SINGULAR else []
    if len(word) < 4 or not word.endswith("s") or word.endswith("ss"):
        return found
    stem = word[:-1]
    found.append(stem)
    if stem.endswith("e") and stem[:-1].endswith(_HISSING):
        found.append(stem[:-1])
    if stem.endswith("ie"):
        found.append(f"{stem[:-2]}y")
    if stem.endswith("ve"):
        found += [f"{stem[:-2]}f", f"{stem[:-2]}fe"]
    return found
