"""The names of the concepts, and how much a name tells: the controlled axis of the miniature.

Every name has a stem: two or three random syllables, in no other name, that say nothing. What stands around the stem
may say something. Within a domain one law holds for IP, OOP and pre-training names alike.
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
    "FolkArt": "telling",
    "Food": "one word",
    "Insects_Spiders": "opaque",
    "Landmark": "telling",
    "Plants_Fugi": "opaque",
    "Pokemon": "telling",
}
"""How much a domain's names tell of the looks: nothing much, one salient word, or two to three."""

TOLD = {"Architecture": 1, "Attire": 1, "FolkArt": 3, "Food": 1, "Landmark": 2, "Pokemon": 2}
"""How many salient words a name holds, where it is not opaque."""

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
        """The name as it is written."""
        return " ".join((*self.before, self.stem, *self.after))

    def alias(self, stem: str) -> Name:
        """The same name around another stem."""
        return replace(self, stem=stem)


def names(domain: str) -> tuple[Name, ...]:
    """The names of all concepts of a domain, in the order of ``concepts(domain)``."""
    return _names()[domain]


def oop_stems() -> frozenset[str]:
    """The stems that no pre-training caption may hold."""
    return frozenset(names(d)[c.number].stem for d in DOMAINS for c in concepts(d) if c.role == "oop")


def random_stem(rng: random.Random) -> str:
    """Two or three random syllables, at least five letters. May be any stem: see ``StemPool``."""
    while True:
        syllables = rng.choice((2, 2, 3))
        stem = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables))
        if len(stem) >= _SHORTEST:
            return stem


class StemPool:
    """Hands out stems of which none is part of another, nor of a word of the captions."""

    def __init__(self, rng: random.Random, taken: frozenset[str] | set[str]) -> None:
        self._rng = rng
        self._whole = set(taken)
        self._parts = {part for word in taken for part in parts(word)}

    def draw(self) -> str:
        """The next stem."""
        while True:
            stem = random_stem(self._rng)
            inside = parts(stem)
            if stem not in self._parts and inside.isdisjoint(self._whole):
                self._whole.add(stem)
                self._parts |= inside
                return stem


def words() -> frozenset[str]:
    """Every word with a meaning that a name may hold."""
    told = {word for grammar in DOMAINS.values() for trait in grammar.spoken for word in grammar.traits[trait]}
    return frozenset(told | {genus for grammar in DOMAINS.values() for genus in grammar.founders} | set(PLACES))


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
        count = TOLD[concept.domain]
        traits = rng.sample(grammar.spoken[: max(3, count + 1)], count)
        return Name(tuple(_told(grammar, concept, trait, 0.92, rng) for trait in traits), stem, (concept.genus,))
    trait = _told(grammar, concept, rng.choice(grammar.spoken), 0.8, rng)
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


def _told(grammar: Grammar, concept: Concept, trait: str, truth: float, rng: random.Random) -> str:
    """The word for a trait: the true one with probability ``truth``, else another value's."""
    if rng.random() < truth:
        return concept.look[trait]
    return rng.choice([value for value in grammar.traits[trait] if value != concept.look[trait]])
