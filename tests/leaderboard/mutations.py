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
    """Valid rows that differ from this one by one change, or by two: of each field at most ``most``, chosen by chance.

    Only documents that are chosen are parsed: there are thousands.
    """
    content, chance = row.model_dump(mode="json"), random.Random(0)
    documents = list(mutations(content))
    for _ in range(300):
        one, other = chance.sample(documents, 2)
        documents.append({**one, **{name: value for name, value in other.items() if value != content.get(name)}})
    chance.shuffle(documents)
    found: Counter[str] = Counter()
    for document in documents:
        names = [name for name in Row.model_fields if document.get(name) != content.get(name)]
        if not names or min(found[name] for name in names) >= most:
            continue
        with contextlib.suppress(ValidationError):
            changed = Row.model_validate_json(json.dumps(document))
            if changed != row:
                found.update(name for name in names if getattr(changed, name) != getattr(row, name))
                yield changed
