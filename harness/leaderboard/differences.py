"""Where two JSON values differ, place by place; numbers must be equal to the last digit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

ABSENT = "absent"


class Difference(NamedTuple):
    """One place, and its values before and after."""

    where: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.where}: {_short(self.before)} -> {_short(self.after)}"


def differences(before: Any, after: Any, where: str = "") -> Iterator[Difference]:
    """Every place that differs, in the order of the keys; a new object or array is one place."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            at = f"{where}.{key}" if where else str(key)
            yield from differences(before.get(key, ABSENT), after.get(key, ABSENT), at)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{where}[{i}]")
    elif type(before) is not type(after) or before != after:
        yield Difference(where, before, after)


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{len(value)} entries"
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 and " " not in text else text
