"""Names that are the same after clean-up, or to the tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.datasets.check_report import NameCollision, TokenCollision
from harness.datasets.layout import group_by_run
from harness.datasets.nouns import noun_of
from harness.errors import printable
from harness.prompts import Template, clean_name, find_collisions

TokenIds = Callable[[str], Sequence[int]]
"""Text -> token ids without start and end token."""


def find_name_collisions(folder: str, classes: list[str]) -> Iterator[NameCollision]:
    """Classes of one folder whose names are the same after clean-up."""
    for group in find_collisions({classname: clean_name(classname) for classname in classes}):
        yield NameCollision(folder=printable(folder), name=clean_name(group[0]), classes=group)


def find_token_collisions(
    root: Path, named: dict[str, dict[str, list[str]]], token_ids: TokenIds
) -> Iterator[TokenCollision]:
    """Names with the same tokens, in one folder or on both sides of a domain."""
    for domain, folders in named.items():
        noun = noun_of(root, domain)
        for scored in group_by_run(list(folders)):
            names = [(printable(folder), clean_name(classname)) for folder in scored for classname in folders[folder]]
            prompts = {f"{folder}: {printable(name)}": Template().fill(name, noun) for folder, name in names}
            for group in find_collisions({place: tuple(token_ids(prompt.text)) for place, prompt in prompts.items()}):
                yield TokenCollision(domain=domain, names=group)
