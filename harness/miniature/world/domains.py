"""The nine domains by LAION-Beyond's names ("Plants_Fugi" is spelt so there)."""

from __future__ import annotations

from harness.miniature.world import (
    animals,
    architecture,
    attire,
    folk_art,
    food,
    insects_spiders,
    landmark,
    plants_fugi,
    pokemon,
)
from harness.miniature.world.grammar import Grammar

DOMAINS: dict[str, Grammar] = {
    "Animals": animals.GRAMMAR,
    "Architecture": architecture.GRAMMAR,
    "Attire": attire.GRAMMAR,
    "FolkArt": folk_art.GRAMMAR,
    "Food": food.GRAMMAR,
    "Insects_Spiders": insects_spiders.GRAMMAR,
    "Landmark": landmark.GRAMMAR,
    "Plants_Fugi": plants_fugi.GRAMMAR,
    "Pokemon": pokemon.GRAMMAR,
}
"""Domain -> grammar, in the order of the paper's tables."""
