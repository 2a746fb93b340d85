"""``--config run.toml``: options from a file. Keys are option names; the command line takes precedence."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from harness.errors import UserError, os_reason, unknown_name
from harness.files import read_file

MAX_BYTES = 1 << 20
"""Largest file of options."""


def use(context: typer.Context, path: Path | None) -> Path | None:
    """Use a file's values as defaults of the command; called before other options are read.

    Raises:
        UserError: the file cannot be read, or has a key that is not an option.
        DataError: it is not valid TOML.
    """
    if path is None:
        return None
    options = [(name, option) for option in context.command.params for name in option.opts if name.startswith("--")]
    known: dict[str, Any] = {name.removeprefix("--"): option for name, option in options}
    for none in ("config", "help"):
        known.pop(none, None)
    defaults = {}
    for key, value in read_toml(path).items():
        option = known.get(key.replace("_", "-"))
        if option is None:
            error = unknown_name(f"option of {context.info_name}", key, known)
            raise UserError(f"{path}: {error.message}", error.hint)
        defaults[option.name] = _value(path, key, value, option)
    context.default_map = defaults
    return path


def explicit_values(context: typer.Context, *names: str) -> tuple[Any, ...]:
    """Values of mutually exclusive options: one on the command line overrides another in the file."""
    sources = {name: context.get_parameter_source(name) for name in names}
    given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    return tuple(context.params[name] if name in given or not given else None for name in names)


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        UserError: the file cannot be read.
        DataError: it is not valid TOML.
    """
    from harness.parsing import parsing  # here, because it imports pydantic, which `--help` does not need

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        content = read_file(path, MAX_BYTES)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {os_reason(error)}", "give a TOML file, for example: shots = [1, 2, 4]"
        ) from None
    with parsing(f"{path} is not valid TOML", 'a line is written as key = "value"'):
        found: dict[str, Any] = tomllib.loads(content.decode("utf-8-sig"))
    return found


def _value(path: Path, key: str, value: Any, option: Any) -> Any:
    """A value in command-line form: lists with commas, and parameters as ``name=value``."""
    if isinstance(value, Mapping):
        if key != "param":
            raise UserError(f"{path}: {key} is a table", "only [param] is one: lr = 0.002, or [param.fsnl]")
        return [f"{name}={text}" for name, text in _flat(value)]
    items = value if isinstance(value, list) else [value]
    wrong = next((item for item in items if isinstance(item, bool) != option.is_flag), None)
    if wrong is not None or (option.is_flag and isinstance(value, list)):
        hint = f"{key} = true" if option.is_flag else f'{key} = "value"'
        raise UserError(f"{path}: {key} is {_toml(value)}", f"write {hint}")
    if option.is_flag:
        return value
    texts = [str(item) for item in items]
    return texts if option.multiple else ",".join(texts)


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(parameter, text) pairs of a table; a nested table belongs to a method, and a table in that is a value."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", _text(one)) for inner, one in value.items())
        else:
            yield name, _text(value)


def _text(value: Any) -> str:
    """A value in the form of ``--param``: a string unchanged, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
