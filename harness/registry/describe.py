"""Describes a loaded plugin: what it is, its parameters with their meaning, and its distribution."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import typing
from itertools import pairwise
from typing import Any

from pydantic_core import to_jsonable_python as plain

from harness.method import Method, build, parameters
from harness.parameters import type_text
from harness.registry.entry_points import Kind
from harness.registry.loading import Plugin

SHOWN: dict[Kind, tuple[str, ...]] = {
    "backbone": ("corpus", "config", "preprocessing"),
    "protocol": ("preset", "scoring", "decoding", "train_on", "methods", "baseline"),
    "metric": ("heading", "meaning", "needs", "higher_is_better"),
}
"""Kind -> the attributes of a plugin's value that are shown as they are."""


def describe(kind: Kind, plugin: Plugin[Any]) -> dict[str, Any]:
    """What ``harness plugins show`` prints, as plain JSON."""
    text, origin = _text(kind, plugin), plugin.origin
    return {
        "name": plugin.name,
        "kind": kind,
        "summary": text.partition("\n")[0],
        "description": text,
        **(_method(plugin) if kind == "method" else _own(kind, plugin.value)),
        "distribution": origin.distribution,
        "version": origin.version,
        "module": origin.module,
        "code": origin.code,
    }


def meanings(cls: type) -> dict[str, str]:
    """What the fields of a class mean, its own and inherited ones: the docstring below each field."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError, SyntaxError):  # built in, or typed at a prompt: there is no source
            continue
        for field, text in pairwise(body.body if isinstance(body, ast.ClassDef) else ()):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[ast.unparse(field.target)] = inspect.cleandoc(str(text.value.value))
    return found


def _text(kind: Kind, plugin: Plugin[Any]) -> str:
    """The docstring of a method's or a protocol's class; of other kinds that of the module."""
    if kind in ("method", "protocol"):
        cls = plugin.value if kind == "method" else type(plugin.value)
        return inspect.cleandoc(cls.__doc__ or "")
    return inspect.cleandoc(sys.modules[plugin.origin.module].__doc__ or "")


def _method(plugin: Plugin[type[Method]]) -> dict[str, Any]:
    cls, values = plugin.value, parameters(build(plugin.name, plugin.value))
    hints, texts = typing.get_type_hints(cls, include_extras=True), meanings(cls)
    return {
        "needs": list(cls.needs.declared()),
        "seeded": cls.seeded,
        "paper": cls.paper.citation if cls.paper else "",
        "parameters": [
            {"name": key, "type": type_text(hints[key]), "default": plain(value), "meaning": texts.get(key, "")}
            for key, value in values.items()
        ],
        "presets": {name: {key: plain(value) for key, value in preset.items()} for name, preset in cls.presets.items()},
    }


def _own(kind: Kind, value: Any) -> dict[str, Any]:
    shown = {name: plain(getattr(value, name)) for name in SHOWN.get(kind, ())}
    if kind == "backbone":
        shown["weights"] = "its own" if value.weights else "from --pretrained"
    if kind == "protocol":
        shown["template"] = value.template.text
    if kind == "metric":
        shown["intervals"] = value.resampling is not None
    return shown
