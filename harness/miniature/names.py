"""The names of the concepts, and how informative they are: the controlled variable of the miniature.

Every name has a stem of two or three random syllables without meaning that no other name has. The words around the
stem may describe the concept. Within a domain, IP, OOP and pre-training names follow the same rule.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass, replace

from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.grammar import Grammar
from harness.miniature.world.phylogeny import Concept, concepts, generator

LEVELS: dict[str, str] = {
    "Animals": "opaque",
    "Architecture": "one word",
    "Attire": "one word",
    "FolkArt": "descriptive",
    "Food": "one word",
    "Insects_Spiders": "opaque",
    "Landmark": "descriptive",
    "Plants_Fugi": "opaque",
    "Pokemon": "descriptive",
}
"""How informative a domain's names are: hardly, by one salient word, or by two to three."""

TRAIT_WORDS = {"Architecture": 1, "Attire": 1, "FolkArt": 3, "Food": 1, "Landmark": 2, "Pokemon": 2}
"""Number of salient words in a name that is not opaque."""

PLACES = ("alpine", "coastal", "northern", "southern", "island", "valley", "desert", "river", "eastern", "royal")
"""Words of opaque names that say nothing about the looks."""

_ONSETS = (*"bdfghklmnprstvwz", "br", "dr", "fl", "gr", "kl", "kr", "pl", "st", "tr")
_VOWELS = (*"aeiou", "ai", "ea", "io")
_CODAS = ("", "", "", *"lnrsmx", "th")
_SHORTEST = 5  # letters of a stem


@dataclass(frozen=True)
class Name:
    """A name: words before the stem, the stem, words after it."""

    before: tuple[str, ...]
    stem: str
    after: tuple[str, ...]

    @property
    def text(self) -> str:
        """The complete name."""
        return " ".join((*self.before, self.stem, *self.after))

    def alias(self, stem: str) -> Name:
        """The same name around another stem."""
        return replace(self, stem=stem)


def names(domain: str) -> tuple[Name, ...]:
    """The names of all concepts of a domain, in the order of ``concepts(domain)``."""
    return _names()[domain]


def oop_stems() -> frozenset[str]:
    """The stems that no pre-training caption may contain."""
    return frozenset(names(d)[c.number].stem for d in DOMAINS for c in concepts(d) if c.role == "oop")


def random_stem(rng: random.Random) -> str:
    """Two or three random syllables, at least five letters; ``StemPool`` makes them unique."""
    while True:
        syllables = rng.choice((2, 2, 3))
        stem = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables))
        if len(stem) >= _SHORTEST:
            return stem


class StemPool:
    """Draws stems that are not part of one another, nor of a word of the captions."""

    def __init__(self, rng: random.Random, taken: frozenset[str] | set[str]) -> None:
        self._rng = rng
        self._taken = set(taken)
        self._parts = {part for word in taken for part in parts(word)}

    def draw(self) -> str:
        """The next stem."""
        while True:
            stem = random_stem(self._rng)
            inside = parts(stem)
            if stem not in self._parts and inside.isdisjoint(self._taken):
                self._taken.add(stem)
                self._parts |= inside
                return stem


def words() -> frozenset[str]:
    """Every word with a meaning that a name may contain."""
    described = {
        word for grammar in DOMAINS.values() for trait in grammar.text_traits for word in grammar.traits[trait]
    }
    return frozenset(described | {genus for grammar in DOMAINS.values() for genus in grammar.founders} | set(PLACES))


def parts(word: str) -> set[str]:
    """All substrings that are long enough to be a stem, the word itself included."""
    return {word[i:j] for i in range(len(word)) for j in range(i + _SHORTEST, len(word) + 1)}


@functools.cache
def _names() -> dict[str, tuple[Name, ...]]:
    pool = StemPool(generator("stems"), words())
    return {domain: tuple(_name(concept, pool.draw()) for concept in concepts(domain)) for domain in DOMAINS}


def _name(concept: Concept, stem: str) -> Name:
    grammar, rng = DOMAINS[concept.domain], generator(concept.domain, concept.number, "name")
    if LEVELS[concept.domain] != "opaque":
        count = TRAIT_WORDS[concept.domain]
        traits = rng.sample(grammar.text_traits[: max(3, count + 1)], count)
        return Name(tuple(_trait_word(grammar, concept, trait, 0.92, rng) for trait in traits), stem, (concept.genus,))
    trait = _trait_word(grammar, concept, rng.choice(grammar.text_traits), 0.8, rng)
    before, after = rng.choice(
        (
            ((), ()),
            ((trait,), ()),
            ((), (concept.genus,)),
            ((trait,), (concept.genus,)),
            ((rng.choice(PLACES),), ()),
        )
    )
    return Name(before, stem, after)


def _trait_word(grammar: Grammar, concept: Concept, trait: str, truth: float, rng: random.Random) -> str:
    """The word for a trait: the true one with probability ``truth``, else another value's."""
    if rng.random() < truth:
        return concept.look[trait]
    return rng.choice([value for value in grammar.traits[trait] if value != concept.look[trait]])
