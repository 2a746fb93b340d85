"""Class names and prompts: the clean-up of names and the prompt template that all methods share."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from harness.errors import UserError

NOUNS = {
    "Animals": "animal",
    "Architecture": "architecture",
    "Attire": "attire",
    "FolkArt": "folk art",
    "Food": "food",
    "Insects_Spiders": "insect or spider",
    "Landmark": "landmark",
    "Plants_Fugi": "plant or fungus",
    "Pokemon": "pokemon",
}
"""Domain -> what its concepts are called in the prompt."""


_STRAIGHT_QUOTES = str.maketrans("\u2018\u2019\u201b\u201c\u201d\u201f", "'''\"\"\"")


@lru_cache(4096)  # a data set states the name of a class once for every image
def clean_name(name: str) -> str:
    """Clean up a class name: underscores and full stops become spaces, white space is collapsed."""
    return " ".join(name.replace("_", " ").replace(".", " ").split())


def fold_name(name: str) -> str:
    """Normalize a name as CLIP's tokenizer does: HTML entities, curly quotes, Unicode form NFC, lower case."""
    import html  # deferred: listing plugins does not need it

    plain = unicodedata.normalize("NFC", html.unescape(html.unescape(name)))
    return " ".join(plain.translate(_STRAIGHT_QUOTES).lower().split())


def comparable_name(name: str) -> str:
    """A class name for comparison: clean-up, then case, quotes, entities and accents as CLIP's tokenizer sees them.

    Two names with the same result are one name to the text tower.
    """
    return fold_name(clean_name(name))


def find_collisions(keys: Mapping[str, Hashable]) -> tuple[tuple[str, ...], ...]:
    """Groups of two or more names that share a key, in the given order."""
    groups: dict[Hashable, list[str]] = {}
    for name, key in keys.items():
        groups.setdefault(key, []).append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def domain_noun(domain: str) -> str:
    """The noun of a domain; for an unknown domain, its cleaned-up name in lower case."""
    return NOUNS.get(domain, clean_name(domain).lower())


class Piece(NamedTuple):
    """A part of a prompt's text; a part with a key can be replaced by learned token embeddings of that key."""

    text: str
    key: str | None = None


class Prompt(NamedTuple):
    """A text in pieces, such as ``a photo of ``, the name (keyed by itself) and ``, a type of animal.``

    A tuple, because name learning looks every prompt up at every step, and the hash of a tuple takes no Python code.
    """

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The plain text."""
        return "".join(piece.text for piece in self.pieces)

    def with_name(self, name: str) -> Prompt:
        """The same text around another name: every keyed piece becomes ``name``."""
        return Prompt(tuple(Piece(name, name) if piece.key is not None else piece for piece in self.pieces))


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt template with ``{name}`` and, if wanted, ``{noun}``.

    Raises:
        UserError: ``{name}`` does not occur exactly once.
    """

    text: str = "a photo of {name}, a type of {noun}."

    def __post_init__(self) -> None:
        if self.text.count("{name}") != 1:
            raise UserError(f"the template {self.text!r} must contain {{name}} exactly once")

    def fill(self, name: str, noun: str) -> Prompt:
        """The prompt of a name; the name is a piece keyed by itself."""
        # Not str.format: names and nouns may contain braces.
        before, _, after = self.text.partition("{name}")
        return Prompt((Piece(before.replace("{noun}", noun)), Piece(name, name), Piece(after.replace("{noun}", noun))))


def caption_prompt(caption: str, name: str) -> Prompt | None:
    """Split a caption into a prompt around its class name; None if the caption does not contain the name.

    The name is matched as whole words, ignoring case, with white space, underscores, full stops or hyphens between its
    words: "rose" is not found in "rosebud". Only the name of the caption's own class is searched, so a caption of
    "rose" is never assigned to "rose hip". Every occurrence becomes a keyed piece, so that replacing the keyed pieces
    removes the name completely.
    """
    words = [re.escape(word) for word in name.split()]
    if not words:
        return None
    separator = r"[\s_.-]+"
    pieces: list[Piece] = []
    end = 0
    for found in re.finditer(rf"(?<!\w){separator.join(words)}(?!\w)", caption, re.IGNORECASE):
        pieces += [Piece(caption[end : found.start()]), Piece(name, name)]
        end = found.end()
    return Prompt((*pieces, Piece(caption[end:]))) if pieces else None
