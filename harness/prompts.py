"""Class names and prompts: one clean-up and one template for every method (protocol, section 2)."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from harness.errors import UserError

HINTS = {
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
"""What a domain's concepts are called in the prompt."""


_STRAIGHT_QUOTES = str.maketrans("\u2018\u2019\u201b\u201c\u201d\u201f", "'''\"\"\"")


def clean_name(name: str) -> str:
    """The class name as text: underscores and full stops become spaces, white space is folded."""
    return " ".join(name.replace("_", " ").replace(".", " ").split())


def fold_name(name: str) -> str:
    """The name as CLIP's tokenizer reads it: HTML entities and curly quotes replaced, in lower case."""
    import html  # here, because listing plugins does without

    return " ".join(html.unescape(html.unescape(name)).translate(_STRAIGHT_QUOTES).lower().split())


def find_collisions(keys: Mapping[str, Hashable]) -> tuple[tuple[str, ...], ...]:
    """Groups of two or more names with the same key, in the given order."""
    groups: dict[Hashable, list[str]] = {}
    for name, key in keys.items():
        groups.setdefault(key, []).append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def domain_hint(domain: str) -> str:
    """The hint of a domain; a domain of its own making is called by its cleaned-up, lower-case name."""
    return HINTS.get(domain, clean_name(domain).lower())


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a prompt; one with a key can be replaced by learned token embeddings of that key."""

    text: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text in pieces, for example ``a photo of `` + the name, keyed by itself + ``, a type of animal.``"""

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
    """A prompt template with ``{name}`` and, if wanted, ``{hint}``.

    Raises:
        UserError: ``{name}`` does not stand in it exactly once.
    """

    text: str = "a photo of {name}, a type of {hint}."

    def __post_init__(self) -> None:
        if self.text.count("{name}") != 1:
            raise UserError(f"the template {self.text!r} must hold {{name}} exactly once")

    def fill(self, name: str, hint: str) -> Prompt:
        """The prompt of one name, the name keyed by itself."""
        # Not str.format: names and hints may hold braces.
        before, _, after = self.text.partition("{name}")
        return Prompt((Piece(before.replace("{hint}", hint)), Piece(name, name), Piece(after.replace("{hint}", hint))))


def caption_prompt(caption: str, name: str) -> Prompt | None:
    """The caption as a prompt around its class name, or None if the caption does not name its class.

    The class is known by its label; only its own name is looked for, as whole words, in any case, with any white
    space, underscore, full stop or hyphen between its words. So "rose" is not found in "rosebud", and a caption of the
    class "rose" is never taken for one of "rose hip". Every place of the name is a keyed piece: with another name put
    there, nothing of this one is left.
    """
    words = [re.escape(word) for word in name.split()]
    if not words:
        return None
    between = r"[\s_.-]+"
    pieces: list[Piece] = []
    end = 0
    for found in re.finditer(rf"(?<!\w){between.join(words)}(?!\w)", caption, re.IGNORECASE):
        pieces += [Piece(caption[end : found.start()]), Piece(name, name)]
        end = found.end()
    return Prompt((*pieces, Piece(caption[end:]))) if pieces else None
