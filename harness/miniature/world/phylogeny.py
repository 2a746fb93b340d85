"""The concepts of a domain: species that descend from the founders of its genera.

A new species copies a living one of its genus and redraws a few traits. So relatives look alike, which makes the
domain as fine-grained as LAION-Beyond's. IP and OOP are one random split of the oldest species: they differ in
nothing but whether pre-training saw them. All later species exist for pre-training only.
"""

from __future__ import annotations

import functools
import math
import random
from dataclasses import dataclass
from typing import Literal

from harness.miniature.world import WORLD
from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.grammar import Dials, Grammar, Look

IP, OOP, EXTRA = 20, 24, 300
"""Concepts per domain: in pre-training, out of it, and in pre-training but not in the benchmark."""

Role = Literal["ip", "oop", "extra"]


@dataclass(frozen=True)
class Concept:
    """One concept: its domain, its number there, its genus, its look and its role."""

    domain: str
    number: int
    genus: str
    look: Look
    role: Role


def generator(*parts: object) -> random.Random:
    """The generator of one thing in the world: the same on every machine and in any order of calls."""
    return random.Random("/".join(map(str, (WORLD, *parts))))


@functools.cache
def concepts(domain: str) -> tuple[Concept, ...]:
    """All concepts of a domain; a concept's position is its number."""
    grammar, rng = DOMAINS[domain], generator(domain, "phylogeny")
    count = IP + OOP + EXTRA
    living = [(genus, Look(dict(traits), _dials(rng))) for genus, traits in grammar.founders.items()]
    seen = {_key(genus, look) for genus, look in living}
    while len(living) < count:
        genus, parent = rng.choice(living)
        child = _descend(grammar, parent, rng)
        if _key(genus, child) not in seen:
            seen.add(_key(genus, child))
            living.append((genus, child))
    oldest: list[Role] = ["ip" if i < IP else "oop" for i in range(IP + OOP)]
    rng.shuffle(oldest)
    roles: list[Role] = oldest + ["extra"] * EXTRA
    return tuple(
        Concept(domain, number, genus, look, role)
        for number, ((genus, look), role) in enumerate(zip(living, roles, strict=True))
    )


def _descend(grammar: Grammar, parent: Look, rng: random.Random) -> Look:
    free = [trait for trait in grammar.traits if trait not in grammar.locked]
    traits = dict(parent.traits)
    for trait in rng.sample(free, min(len(free), 1 + _poisson(grammar.drift - 1, rng))):
        traits[trait] = rng.choice([value for value in grammar.traits[trait] if value != traits[trait]])
    return Look(traits, Dials(*(max(-1.0, min(1.0, dial + rng.gauss(0, 0.35))) for dial in parent.dials)))


def _dials(rng: random.Random) -> Dials:
    return Dials(*(rng.uniform(-1, 1) for _ in range(4)))


def _key(genus: str, look: Look) -> tuple[str, ...]:
    return (genus, *look.traits.values())


def _poisson(mean: float, rng: random.Random) -> int:
    """A Poisson draw by multiplying uniform numbers (Knuth); fine for the small means used here."""
    count, product, limit = 0, rng.random(), math.exp(-mean)
    while product > limit:
        count += 1
        product *= rng.random()
    return count
