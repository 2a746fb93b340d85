"""Class names and prompts: one clean-up and one template for every method (protocol, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

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


def clean_name(name: str) -> str:
    """The class name as text: underscores and full stops become spaces, white space is folded."""
    return " ".join(name.replace("_", " ").replace(".", " ").split())


def hint_of(domain: str) -> str:
    """The hint of a domain; a domain of its own making is called by its cleaned-up, lower-case name."""
    return HINTS.get(domain, clean_name(domain).lower())


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text with one place for a name: ``before + name + after``.

    A caption that does not contain its name has ``name=None`` and its whole text in ``before``.
    """

    before: str
    name: str | None
    after: str

    @property
    def text(self) -> str:
        """The plain text."""
        return f"{self.before}{self.name or ''}{self.after}"


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt template with ``{name}`` and, if wanted, ``{hint}``."""

    text: str = "a photo of {name}, a type of {hint}."

    def fill(self, name: str, hint: str) -> Prompt:
        """The prompt of one name."""
        # Not str.format: names and hints may hold braces.
        before, _, after = self.text.partition("{name}")
        return Prompt(before.replace("{hint}", hint), name, after.replace("{hint}", hint))
