"""Parameter values: parsing, formatting, their types as text, and checks that a record describes them completely."""

from __future__ import annotations

import dataclasses
import json
import os
import typing
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePath
from types import UnionType
from typing import TYPE_CHECKING, Any

from harness.errors import PluginError, StorageError, UserError
from harness.file_parameter import File, is_file_record
from harness.files import expand_user

if TYPE_CHECKING:
    from pydantic import TypeAdapter

BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}

FILE_HINT = "annotate the field with harness.File, which puts the sha256 of the file's content into every result"


class CommandLineText(str):
    """A value typed on the command line, where 7 may be a number or a string; other strings are taken literally."""

    __slots__ = ()


def require_file_paths(name: str, values: Mapping[str, Any]) -> None:
    """Check that every ``File`` of a method's parameters has a path; a file from a record has none.

    Raises:
        UserError: a file has no path.
    """
    for key, value in values.items():
        for one in walk_values(value):
            if isinstance(one, File) and not one.has_path:
                message = f"{name}: parameter {key} is the file {one.file} with sha256 {one.sha256}"
                raise UserError(f"{message}, which was not found", "give its path; `harness reproduce` takes --file")


@cache
def type_adapters(cls: type) -> Mapping[str, TypeAdapter[Any]]:
    """The pydantic adapter of each parameter of a dataclass, by name.

    Raises:
        PluginError: a parameter has a path type, so a result would not identify the file's content.
        Exception: a type that does not exist, or that pydantic does not support.
    """
    from pydantic import TypeAdapter  # deferred: listing plugins does not need it

    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        if field.init and _is_path_type(hints[field.name]):
            raise PluginError(f"{cls.__name__}: parameter {field.name} has a path type", FILE_HINT)
    return {field.name: TypeAdapter(hints[field.name]) for field in dataclasses.fields(cls) if field.init}


def parse_value(adapter: TypeAdapter[Any], value: Any) -> Any:
    """Convert a value to a parameter's type.

    A ``CommandLineText`` is tried as strict JSON, then as a literal string, then as a JSON list or object whose items
    are converted.

    Raises:
        ValidationError: the value does not fit the type.
    """
    from pydantic import ValidationError

    if not isinstance(value, CommandLineText):
        return adapter.validate_python(value)
    text = str(value)
    if text.lower() == "none" and _accepts_none(adapter):
        return None
    with suppress(ValidationError):
        return adapter.validate_json(text, strict=True)
    try:
        return adapter.validate_python(text)
    except ValidationError:
        if not text.lstrip().startswith(("[", "{")):
            raise
    return adapter.validate_json(text)


def format_value(value: Any) -> str:
    """Format a value of a record, which is plain JSON, for the command line; the inverse of ``parse_value``.

    A ``File`` becomes its name, because a record does not contain its path.
    """
    if value is None:
        return "none"
    if is_file_record(value):
        return str(value["file"])
    if isinstance(value, str) and value.lower() != "none":
        try:
            json.loads(value)
        except ValueError:
            return value  # not JSON, so it is parsed as itself
    return json.dumps(value, ensure_ascii=False)


def type_text(hint: Any) -> str:
    """A type in readable form: ``int >= 1 or None``, ``'adam' or 'sgd'``."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return " ".join([type_text(inner[0]), *_bounds(inner[1:])])
    if origin is typing.Literal:
        return " or ".join(map(repr, inner))
    if origin in (typing.Union, UnionType):
        return " or ".join(map(type_text, inner))
    if hint in (type(None), File):
        return "None" if hint is not File else "file"
    return hint.__name__ if isinstance(hint, type) and not inner else str(hint)


def _bounds(constraints: tuple[Any, ...]) -> list[str]:
    single = [one for c in constraints for one in (getattr(c, "metadata", None) or [c])]  # of pydantic's Field
    return [f"{sign} {getattr(c, name)}" for c in single for name, sign in BOUNDS.items() if hasattr(c, name)]


def walk_values(value: Any) -> Iterator[Any]:
    """Yield a value and, recursively, everything it contains."""
    yield value
    if isinstance(value, File):
        return
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner: Any = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, dict):
        inner = [*value, *value.values()]
    else:
        inner = value if isinstance(value, list | tuple | set | frozenset) else ()
    for one in inner:
        yield from walk_values(one)


def require_recordable(cls: type, name: str, values: Mapping[str, Any]) -> None:
    """Check that parameter values determine the result completely.

    Raises:
        PluginError: a value contains a set, whose order differs between processes, or names a file by its path only.
    """
    for key, value in values.items():
        for one in walk_values(value):
            if isinstance(one, set | frozenset):
                hint = "a set has a different order in every process, which can change results: use a tuple"
                raise PluginError(f"{name}: parameter {key} contains a set", hint)
            if isinstance(one, PurePath):
                raise PluginError(
                    f"{name}: parameter {key} is a path, so a result would not identify the content", FILE_HINT
                )
            if (
                _is_text(one)
                and _names_content(one)
                and (one is not value or _accepts_any_text(type_adapters(cls)[key], one))
            ):
                what = f"parameter {key}={one!r} names a file or folder"
                raise PluginError(f"{name}: {what}, so a result would not identify its content", FILE_HINT)


def _is_path_type(hint: Any) -> bool:
    own = isinstance(hint, type) and not typing.get_args(hint) and issubclass(hint, PurePath)
    return own or any(map(_is_path_type, typing.get_args(hint)))


def _is_text(value: Any) -> bool:
    return type(value) in (str, CommandLineText)  # not a string enum


def _names_content(text: str) -> bool:
    """Whether a text is the path of an existing file or folder; a folder needs a slash, or it may be any word."""
    with suppress(StorageError):
        path = expand_user(Path(text))  # os.path returns False for texts that cannot be paths
        return os.path.isfile(path) or (os.sep in text and path.name != "" and os.path.isdir(path))  # noqa: PTH112, PTH113
    return False


def _accepts_any_text(adapter: TypeAdapter[Any], text: str) -> bool:
    """Whether a parameter accepts any text; for a fixed set of words, a file of the same name is a coincidence."""
    from pydantic import ValidationError

    try:
        adapter.validate_python(os.path.abspath(text))  # noqa: PTH100 - a text that no fixed set of words contains
    except ValidationError:
        return False
    return True


def _accepts_none(adapter: TypeAdapter[Any]) -> bool:
    from pydantic import ValidationError

    try:
        return adapter.validate_python(None) is None
    except ValidationError:
        return False
