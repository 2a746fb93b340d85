"""What a plugin offers, read from its source without importing it: so listing is quick, and nothing can break it."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder

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
        spec = _find(module)
        if spec is None or spec.origin is None:
            return None
        with open(spec.origin, encoding="utf-8") as file:  # noqa: PTH123
            return ast.parse(file.read())
    except (ImportError, OSError, SyntaxError, ValueError):
        return None


def _find(module: str) -> ModuleSpec | None:
    """Where a module is. Not ``find_spec`` for the whole name: that imports the packages around the module."""
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top)
    for name in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(f"{spec.name}.{name}", list(spec.submodule_search_locations))
    return spec


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
        values = dict(_assigned(cls))
        inherits = not any(ast.unparse(base).rpartition(".")[2] == "Method" for base in cls.bases)
        summary = (ast.get_docstring(cls) or "?").partition("\n")[0]
        needs = _needs(values["needs"]) if "needs" in values else "?" if inherits else "names only"
        written = values.get("paper")
        paper = str(written.value) if isinstance(written, ast.Constant) else "?" if written or inherits else ""
    return Description(name, needs, summary, paper, source.name, source.module, source.distribution, source.version)


def _assigned(cls: ast.ClassDef) -> list[tuple[str, ast.expr]]:
    """(name, value) of every ``name = value`` and ``name: type = value`` of a class."""
    found = []
    for node in cls.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        found += [(t.id, value) for t in targets if isinstance(t, ast.Name) and value is not None]
    return found


def _needs(value: ast.expr) -> str:
    """The needs that ``Needs(support=True, ...)`` declares."""
    if not isinstance(value, ast.Call) or value.args:
        return "?"
    if not all(k.arg and isinstance(k.value, ast.Constant) for k in value.keywords):
        return "?"
    named = [k.arg for k in value.keywords if k.arg and isinstance(k.value, ast.Constant) and k.value.value]
    return ", ".join(named) or "names only"
