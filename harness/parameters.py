"""Values of parameters: read from what a person or a record says, and written so that they are read back the same."""

from __future__ import annotations

import dataclasses
import json
import os
import typing
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from harness.errors import PluginError, StorageError, UserError
from harness.file_parameter import File, is_file_record
from harness.files import expand_user

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FILE_HINT = "annotate the field with harness.File, which puts the sha256 of the file's content into every result"


class CommandLineText(str):
    """A value as it is written on a command line, where 7 may be a number or a word; any other string is itself."""

    __slots__ = ()


def require_file_paths(name: str, values: Mapping[str, Any]) -> None:
    """See that every ``File`` of a method's parameters says where it lies; one from a record does not.

    Raises:
        UserError: one does not.
    """
    for key, value in values.items():
        for one in walk_values(value):
            if isinstance(one, File) and not one.has_path:
                message = f"{name}: parameter {key} is the file {one.file} with sha256 {one.sha256}"
                raise UserError(f"{message}, which was not found", "give its path; `harness reproduce` takes --file")


@cache
def type_adapters(cls: type) -> Mapping[str, TypeAdapter[Any]]:
    """What reads the values of each parameter of a dataclass, by name.

    Raises:
        PluginError: a parameter has the type of a path, so that a result would not name the file's content.
        Exception: a type that does not exist, or that pydantic cannot read.
    """
    from pydantic import TypeAdapter  # here, because listing plugins does without

    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        if field.init and _is_path_type(hints[field.name]):
            raise PluginError(f"{cls.__name__}: parameter {field.name} has the type of a path", FILE_HINT)
    return {field.name: TypeAdapter(hints[field.name]) for field in dataclasses.fields(cls) if field.init}


def parse_value(adapter: TypeAdapter[Any], value: Any) -> Any:
    """A value of a parameter's type.

    Text is what JSON says, if that is of the type as it stands; else the word itself; else a list or table whose items
    have to be converted.

    Raises:
        ValidationError: it is not of the type.
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
    """What is written on a command line for a value of a record, which is plain JSON: ``read`` gives it again.

    Of a ``File`` that is its name: a record does not say where it lies.
    """
    if value is None:
        return "none"
    if is_file_record(value):
        return str(value["file"])
    if isinstance(value, str) and value.lower() != "none":
        try:
            json.loads(value)
        except ValueError:
            return value  # nothing but itself
    return json.dumps(value, ensure_ascii=False)


def walk_values(value: Any) -> Iterator[Any]:
    """A value and all that is in it."""
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
    """See that the values of a method's parameters say all that decides its result.

    Raises:
        PluginError: one holds a set, whose order is that of one process; or names a file by its path alone.
    """
    for key, value in values.items():
        for one in walk_values(value):
            if isinstance(one, set | frozenset):
                hint = "a set has another order in every process, and so might its results: use a tuple"
                raise PluginError(f"{name}: parameter {key} holds a set", hint)
            if isinstance(one, PurePath):
                raise PluginError(
                    f"{name}: parameter {key} is a path, and a result would not name the content", FILE_HINT
                )
            if (
                _is_text(one)
                and _names_content(one)
                and (one is not value or _accepts_any_text(type_adapters(cls)[key], one))
            ):
                message = (
                    f"{name}: parameter {key}={one!r} names a file or folder, and a result would not name its content"
                )
                raise PluginError(message, FILE_HINT)


def _is_path_type(hint: Any) -> bool:
    own = isinstance(hint, type) and not typing.get_args(hint) and issubclass(hint, PurePath)
    return own or any(map(_is_path_type, typing.get_args(hint)))


def _is_text(value: Any) -> bool:
    return type(value) in (str, CommandLineText)  # no word of an enum


def _names_content(text: str) -> bool:
    """Whether a text is the path of a file or folder; a folder's name without a slash may well be a mere word."""
    with suppress(StorageError):
        path = expand_user(Path(text))  # os.path answers also where a text can be no path
        return os.path.isfile(path) or (os.sep in text and path.name != "" and os.path.isdir(path))  # noqa: PTH112, PTH113
    return False


def _accepts_any_text(adapter: TypeAdapter[Any], text: str) -> bool:
    """Whether a parameter takes any text: that a file is called like one of a few words means nothing."""
    from pydantic import ValidationError

    try:
        adapter.validate_python(os.path.abspath(text))  # noqa: PTH100 - a text that no list of words has
    except ValidationError:
        return False
    return True


def _accepts_none(adapter: TypeAdapter[Any]) -> bool:
    from pydantic import ValidationError

    try:
        return adapter.validate_python(None) is None
    except ValidationError:
        return False
