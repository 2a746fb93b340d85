"""Parse content that may be damaged or hostile: bounded before it is parsed, and any failure is one named error.

A parser raises almost anything on damaged content, and takes memory by the number of values and not of bytes. So every
kind of file is parsed inside ``parsing``, and JSON is counted first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from harness.errors import DataError, HarnessError, StorageError, one_line

MAX_VALUES = 1 << 22
"""Values of one JSON document; the largest split file of LAION-Beyond has a tenth of it."""

MAX_FIELDS = 1 << 17
"""Named values of one record: pydantic lists every wrong one, at two kilobytes each."""

_Model = TypeVar("_Model", bound=BaseModel)


@contextmanager
def parsing(problem: str, hint: str | None = None) -> Iterator[None]:
    """Turn whatever a parser raises into one error; the content is read before, and not inside.

    Args:
        problem: how the error begins, such as ``a.json is damaged``; the reason follows.
        hint: what to do about it.

    Raises:
        DataError: the content is damaged or is something else.
        StorageError: the memory does not suffice.
    """
    try:
        yield
    except HarnessError:
        raise
    except MemoryError:
        raise StorageError(f"{problem}, or there is not enough memory", "close other programs") from None
    except Exception as error:
        raise DataError(f"{problem}: {_reason(error)}", hint) from None


def parse_json(
    content: bytes,
    problem: str,
    hint: str | None = None,
    *,
    max_values: int = MAX_VALUES,
    parse: Callable[[bytes], Any] = from_json,
) -> Any:
    """The value of a JSON document.

    Args:
        content: UTF-8, with or without a byte-order mark.
        problem, hint: as for ``parsing``.
        max_values: most values that it may have, counted by commas and brackets, also those inside of strings.
        parse: another parser.

    Raises:
        DataError, StorageError: as for ``parsing``.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if content.count(b",") + content.count(b"[") + content.count(b"{") > max_values:
        raise DataError(f"{problem}: it has more than {max_values:,} values", hint)
    with parsing(problem, hint):
        return parse(content)


def parse_record(
    model: type[_Model], content: bytes, problem: str, hint: str | None = None, *, max_values: int = MAX_FIELDS
) -> _Model:
    """A record from a JSON document; more than ``MAX_FIELDS`` values only for a record whose lists fail fast.

    Raises:
        DataError, StorageError: as for ``parsing``.
    """
    if content.count(b":") > MAX_FIELDS:
        raise DataError(f"{problem}: it has more than {MAX_FIELDS:,} fields", hint)
    record: _Model = parse_json(content, problem, hint, max_values=max_values, parse=model.model_validate_json)
    return record


def unique_keys(content: bytes) -> Any:
    """A parser of JSON that refuses an object with the same key twice.

    Raises:
        ValueError: it is not JSON, or a key occurs twice.
        RecursionError: it is nested too deeply.
    """
    return json.loads(content, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"key {twice[:200]!r} occurs twice in one object")
    return content


def _reason(error: Exception) -> str:
    """One line about what is wrong with the content."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return one_line(f"{where}: {first['msg'].lower()}" if where else first["msg"].lower())[:500]
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} (line {error.lineno}, column {error.colno})"
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError):
        return f"it has no {one_line(error)[:200]}"
    return one_line(error)[:500] or type(error).__name__
