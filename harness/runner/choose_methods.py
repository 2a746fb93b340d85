"""Choose the methods of a run and their parameters, for the command line and the Python API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness import registry
from harness.errors import UserError
from harness.protocols import Protocol
from harness.runner.request import MethodChoice

ALL = "all"
"""In place of a method's name: all that are installed."""


def choose_methods(
    methods: Sequence[MethodChoice] | None,
    preset: str | None,
    parameters: Mapping[str, Any],
    baseline: str | None,
    protocol: str,
) -> tuple[MethodChoice, ...]:
    """The methods to run, the baseline among them, with their parameters.

    Args:
        methods: the requested ones; None for the protocol's default methods.
        preset: used for all of them.
        parameters: values by name, for all of them (``lr``) or for one (``fsnl.lr``).
        baseline: a method that runs first, with its defaults; None for the protocol's, ``none`` for no baseline.
        protocol: its name.

    Raises:
        UserError: no method is asked for, or a parameter is for another method.
    """
    rule = rule_of(protocol)
    asked = [MethodChoice(name) for name in rule.methods] if methods is None else list(methods)
    if any(choice.name == ALL for choice in asked):
        named = {choice.name for choice in asked}
        asked = [choice for choice in asked if choice.name != ALL]
        asked = sorted(
            [*asked, *(MethodChoice(name) for name in registry.names("method") if name not in named)], key=_name
        )
    if not asked:
        raise UserError("no method is named", "for example fsnl")
    names = [choice.name for choice in asked]
    for key in parameters:
        method, dot, _ = key.partition(".")
        if dot and method not in names:
            raise UserError(
                f"the parameter {key} is for {method!r}, which is not evaluated", f"evaluated: {', '.join(names)}"
            )
    choices = [
        replace(choice, preset=preset, parameters={**choice.parameters, **_own(choice.name, parameters)})
        for choice in asked
    ]
    first = rule.baseline or "none" if baseline is None else baseline
    if first not in ("none", *names):
        choices.insert(0, MethodChoice(first))
    return tuple(choices)


def _name(choice: MethodChoice) -> str:
    return choice.name


def _own(method: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are for a method."""
    found = {}
    for key, value in parameters.items():
        name, dot, rest = key.partition(".")
        if not dot or name == method:
            found[rest if dot else key] = value
    return found


def rule_of(name: str) -> Protocol | type[Protocol]:
    """The protocol of that name, built in or a plugin's; the base class if there is none, as for imported draws."""
    found = registry.find_protocol(name)
    return found[0] if found else Protocol
