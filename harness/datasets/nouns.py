"""The nouns of domains in prompts: those of the release, or what a data folder states for its own domains."""

from __future__ import annotations

from pathlib import Path

from harness.datasets.splitfile import read_json
from harness.errors import DataError
from harness.prompts import domain_noun
from harness.types.split import nfc

NOUNS_FILE = "nouns.json"
"""A file at the root, if there is one: domain -> what its concepts are called in a prompt."""


def noun_of(root: Path, domain: str) -> str:
    """The noun of a domain: the stated one, else that of the release, else the domain's name in lower case.

    Raises:
        DataError: the file of nouns is damaged.
    """
    return stated_nouns(root).get(domain) or domain_noun(domain)


def stated_nouns(root: Path) -> dict[str, str]:
    """Domain -> noun, as the root states them; empty without the file.

    Raises:
        DataError: the file is damaged.
    """
    path = root / NOUNS_FILE
    if not path.exists():
        return {}
    content = read_json(path, NOUNS_FILE)
    if not isinstance(content, dict) or not all(isinstance(noun, str) and noun.strip() for noun in content.values()):
        raise DataError(
            f"{NOUNS_FILE} is not an object of domains and nouns", 'write it as {"Vehicles": "road vehicle"}'
        )
    return {nfc(domain): " ".join(noun.split()) for domain, noun in content.items()}
