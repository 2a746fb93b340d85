"""What a plugin offers, read from its source without importing it: so listing is quick, and nothing can break it."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass

from harness.registry import Source


@dataclass(frozen=True)
class Description:
    """One method of a plugin; text that the source does not spell out is '?'."""

    method: str
    needs: str
    summary: str
    paper: str
    plugin: str
    module: str
    distribution: str
    version: str


def describe(source: Source) -> list[Description]:
    """The methods that a plugin's source registers; one line with '?' if that cannot be seen."""
    tree = _parse(source.module)
    found = []
    if tree is not None:
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        for name, cls in _registered(tree):
            found.append(_description(source, name, classes.get(cls)))
    return found or [_description(source, source.name, None)]


def _parse(module: str) -> ast.Module | None:
    try:
        parent, _, _ = module.rpartition(".")
        spec = importlib.util.find_spec(module) if not parent or importlib.util.find_spec(parent) else None
        if spec is None or spec.origin is None:
            return None
        with open(spec.origin, encoding="utf-8") as file:  # noqa: PTH123
            return ast.parse(file.read())
    except (ImportError, OSError, SyntaxError, ValueError):
        return None


def _registered(tree: ast.Module) -> list[tuple[str, str]]:
    """(name, class) of every ``register("name", Class)``."""
    return [
        (node.args[0].value, node.args[1].id)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "register"
        and len(node.args) == 2
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
        and isinstance(node.args[1], ast.Name)
    ]


def _description(source: Source, name: str, cls: ast.ClassDef | None) -> Description:
    needs, summary, paper = "?", "?", "?"
    if cls is not None:
        values = {
            t.id: n.value for n in cls.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)
        }
        summary = (ast.get_docstring(cls) or "?").partition("\n")[0]
        declared = values.get("needs")
        keywords = declared.keywords if isinstance(declared, ast.Call) else []
        needs = ", ".join(k.arg for k in keywords if k.arg and getattr(k.value, "value", False)) or "names only"
        written = values.get("paper")
        paper = str(written.value) if isinstance(written, ast.Constant) else ""
    return Description(name, needs, summary, paper, source.name, source.module, source.distribution, source.version)
