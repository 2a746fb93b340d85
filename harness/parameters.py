"""Values of parameters: read from what a person or a record says, and written so that they are read back the same."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import TypeAdapter


class Text(str):
    """A value as it is written on a command line, where 7 may be a number or a word; any other string is itself."""

    __slots__ = ()


@cache
def adapters(cls: type) -> Mapping[str, TypeAdapter[Any]]:
    """What reads the values of each parameter of a dataclass, by name.

    Raises:
        Exception: a type that does not exist, or that pydantic cannot read.
    """
    from pydantic import TypeAdapter  # here, because listing plugins does without

    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: TypeAdapter(hints[field.name]) for field in dataclasses.fields(cls) if field.init}


def read(adapter: TypeAdapter[Any], value: Any) -> Any:
    """A value of a parameter's type.

    Text is what JSON says, if that is of the type as it stands; else the word itself; else a list or table whose items
    have to be converted.

    Raises:
        ValidationError: it is not of the type.
    """
    from pydantic import ValidationError

    if not isinstance(value, Text):
        return adapter.validate_python(value)
    text = str(value)
    if text.lower() == "none" and _takes_none(adapter):
        return None
    with suppress(ValidationError):
        return adapter.validate_json(text, strict=True)
    try:
        return adapter.validate_python(text)
    except ValidationError:
        if not text.lstrip().startswith(("[", "{")):
            raise
    return adapter.validate_json(text)


def written(value: Any) -> str:
    """What is written on a command line for a value of a record, which is plain JSON: ``read`` gives it again."""
    if value is None:
        return "none"
    if isinstance(value, str) and value.lower() != "none":
        try:
            json.loads(value)
        except ValueError:
            return value  # nothing but itself
    return json.dumps(value, ensure_ascii=False)


def holds_set(value: Any) -> bool:
    """Whether a value is a set or has one in it."""
    if isinstance(value, set | frozenset):
        return True
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return holds_set(dataclasses.asdict(value))
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return any(map(holds_set, inner))


def _takes_none(adapter: TypeAdapter[Any]) -> bool:
    from pydantic import ValidationError

    try:
        return adapter.validate_python(None) is None
    except ValidationError:
        return False
