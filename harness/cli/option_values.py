"""Parse option values: methods with parameters, protocols, and lists."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from harness.errors import UserError
from harness.parameters import CommandLineText
from harness.runner.choose_methods import choose_methods
from harness.runner.request import MethodChoice

MOST = 10_000
"""Maximum length of a range such as 1-3."""


def methods(
    plugin: Sequence[str] | None, preset: str | None, param: Sequence[str], baseline: str | None, protocol: str
) -> tuple[MethodChoice, ...]:
    """The methods to run, the baseline among them, with their parameters.

    Raises:
        UserError: no method is named, or a parameter has no value or no method.
    """
    values = {}
    for text in param:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--param {text} has no value", "write it as name=value, for example -p lr=0.002")
        values[key] = CommandLineText(value)
    named = None if plugin is None else [MethodChoice(name) for name in split(plugin)]
    return choose_methods(named, preset, values, baseline, protocol)


def settings(text: str | None) -> str | dict[str, Any] | None:
    """Parse ``--preprocessing``: a pretrained tag, or comma-separated ``name=value`` settings.

    Raises:
        UserError: it is empty, or a setting has no value, or is given twice.
    """
    if text is None or (text and "=" not in text):
        return text
    found: dict[str, Any] = {}
    for part in re.split(r",(?![^\[]*\])", text):  # not at the commas of a list
        name, equals, value = part.partition("=")
        if not equals:
            raise UserError(f"--preprocessing {part} has no value", "write it as mean=0.5,std=0.5,resize_mode=squash")
        name = name.strip()
        if name in found:
            raise UserError(f"--preprocessing has {name} twice", "give each setting once")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value.strip()
    return found


def split(values: Sequence[str] | None) -> list[str]:
    """Split comma-separated option values; duplicates are removed."""
    words = (word.strip() for value in values or () for word in value.split(","))
    return list(dict.fromkeys(filter(None, words)))


def numbers(option: str, values: Sequence[str]) -> tuple[int, ...]:
    """Parse lists of numbers such as 1,2,4 or 1-3.

    Raises:
        UserError: a value is not a number or range, or there is none.
    """
    found: list[int] = []
    for part in split(values):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part)
        if match is None:
            raise UserError(
                f"{option} {part!r} is not a list of numbers", f"for example {option} 1,2,4 or {option} 1-3"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + MOST:
            raise UserError(f"{option} {part} is not a range of 1 to {MOST:,} numbers", f"for example {option} 1-3")
        found += range(first, last + 1)
    if not found:
        raise UserError(f"{option} is empty", f"for example {option} 1,2,4")
    return tuple(dict.fromkeys(found))


def number_or_auto(option: str, text: str) -> int | None:
    """A whole number of 1 or more; None for ``auto``.

    Raises:
        UserError: it is neither.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{option} is {text!r}", "give auto, or a whole number of 1 or more")
    return int(text)
