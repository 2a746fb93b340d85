"""Verify a row's list of colliding names: names that are one text to the tokenizer."""

from __future__ import annotations

from collections.abc import Iterator

from harness.prompts import find_collisions, fold_name
from harness.types.labels import LabelSheet, name_with_side

Groups = tuple[tuple[str, ...], ...]


def wrong_collisions(domain: str, groups: Groups, sheet: LabelSheet) -> Iterator[str]:
    """Errors in the list: names that the data do not have, and equal names that no group lists."""
    names = _names(sheet)
    for name in (name for group in groups for name in group if name not in names):
        yield f"{domain}: {name} is listed among names that are one text, but the data have no such name"
    for same in find_collisions(names):
        if not any(set(same) <= set(group) for group in groups):
            yield f"{domain}: {' and '.join(same)} are one name, and the row does not list them"


def unchecked_collisions(domain: str, groups: Groups, sheet: LabelSheet) -> Iterator[str]:
    """What only the tokenizer can decide: groups of different names, and names that it may confuse."""
    folded = {name: fold_name(plain) for name, plain in _names(sheet).items()}
    for group in groups:
        if len({folded.get(name) for name in group}) > 1:
            yield f"{domain}: only the tokenizer can decide whether {' and '.join(group)} are one text"
    for group in find_collisions(folded):
        if not any(set(group) <= set(listed) for listed in groups):
            yield f"{domain}: {' and '.join(group)} are one text to a tokenizer that lower-cases, if not to the row's"


def _names(sheet: LabelSheet) -> dict[str, str]:
    return {name_with_side(name, side): name for side, scored in sheet.sides.items() for name in scored.names}
