"""A leaderboard row with changes of any of its fields, as somebody may edit its file."""

from __future__ import annotations

import contextlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from harness.types.leaderboard import Row

from ..makers import sha


def mutations(value: Any) -> Iterator[Any]:
    """The document with one change: a value that is replaced, a key or entry that is removed, added or renamed."""
    if isinstance(value, dict):
        for key, inner in value.items():
            rest = {k: v for k, v in value.items() if k != key}
            yield rest
            yield {**rest, f"{key}x": inner}
            yield from ({**value, key: changed} for changed in mutations(inner))
        yield {**value, "new": "x"}
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield [*value[:i], *value[i + 1 :]]
            yield from ([*value[:i], changed, *value[i + 1 :]] for changed in mutations(inner))
        yield [*value, *value[-1:]]
        yield [{"domain": "X", "seed": 1, "kind": "error", "reason": "x"}]  # a failure
        yield value[::-1]
    else:
        yield from (other for other in _others(value) if type(other) is not type(value) or other != value)


def _others(value: Any) -> list[Any]:
    near = {str: [f"{value}x", sha("x")], int: [not value, 7], float: [0.987]}.get(type(value), [])
    return [*near, None, True, False, 0, "yes", "no", "unknown", "bf16", "plain"]


def changed_rows(row: Row, most: int) -> Iterator[Row]:
    """Valid rows that differ from this one by one change, or by two: of each place at most ``most``, chosen by chance.

    A place is a field, or a key of a field that is a table. Only documents that are chosen are parsed: there are
    thousands.
    """
    content, chance = row.model_dump(mode="json"), random.Random(0)
    documents = list(mutations(content))
    for _ in range(300):
        one, other = chance.sample(documents, 2)
        documents.append({**one, **{name: value for name, value in other.items() if value != content.get(name)}})
    chance.shuffle(documents)
    found: Counter[str] = Counter()
    for document in documents:
        places = _places(content, document)
        if any(found[place] < most for place in places):
            with contextlib.suppress(ValidationError):
                changed = Row.model_validate_json(json.dumps(document))
                if changed != row:
                    found.update(_places(content, changed.model_dump(mode="json")))
                    yield changed


def _places(one: dict[str, Any], other: dict[str, Any], depth: int = 2) -> list[str]:
    """Where two documents differ: dotted keys, down to a depth."""
    found = []
    for key in one.keys() | other.keys():
        mine, theirs = one.get(key), other.get(key)
        if mine != theirs:
            tables = depth > 1 and isinstance(mine, dict) and isinstance(theirs, dict)
            found += [f"{key}.{inner}" for inner in _places(mine, theirs, depth - 1)] if tables else [key]
    return found
