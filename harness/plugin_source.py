"""Reads a plugin's source without importing it: so reading is quick, and nothing that stands there can break it."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint

from harness import hookspecs
from harness.method import CONTRACT

HOOKS = {
    name: tuple(inspect.signature(function).parameters)
    for name, function in vars(hookspecs).items()
    if name.startswith("harness_")
}
"""The hooks and their arguments."""

KINDS = {
    "harness_register_methods": "method",
    "harness_register_backbones": "backbone",
    "harness_register_protocols": "protocol",
    "harness_cell_finished": "observer",
}
"""What a plugin offers with each hook."""


@dataclass(frozen=True)
class Written:
    """Something that a source offers: its kind, its name ('?' if not spelt out) and the class it names, if any."""

    kind: str
    name: str
    cls: ast.ClassDef | None


NO_MODULE = "names no module: the entry_points.txt of its distribution is damaged"


def module_of(point: EntryPoint) -> str:
    """The module that an entry point names, '' if its value is none."""
    try:
        return point.module
    except (AssertionError, AttributeError, ValueError):  # what it raises depends on the version of Python
        return ""


def find(module: str) -> ModuleSpec | None:
    """Where a module is. Not ``find_spec`` for the whole name: that imports the packages around the module."""
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        for name in inner:
            if spec is None or spec.submodule_search_locations is None:
                return None
            spec = PathFinder.find_spec(f"{spec.name}.{name}", list(spec.submodule_search_locations))
    except (ImportError, ValueError, OSError):  # a module without a spec, or a broken finder
        return None
    return spec


def parse(module: str) -> ast.Module | None:
    """The syntax tree of a module, None if there is none to read."""
    try:
        return _parse(module)
    except SyntaxError:
        return None


def _parse(module: str) -> ast.Module | None:
    spec = find(module)
    if spec is None or spec.origin is None:
        return None
    try:
        with open(spec.origin, "rb") as file:  # noqa: PTH123 - pathlib costs a tenth of the listing's time
            return _tree(file.read())
    except SyntaxError:
        raise
    except (OSError, ValueError):
        return None


@cache
def _tree(content: bytes) -> ast.Module:
    """Parsed once by content, however often it is asked for; nobody changes a tree."""
    return ast.parse(content)


def written(tree: ast.Module) -> list[Written]:
    """What a module offers, in the order of its hooks."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found = []
    for hook in _hooks(tree):
        kind = KINDS.get(hook.name)
        if kind == "observer":
            found.append(Written(kind, "?", None))
            continue
        for call in ast.walk(hook):
            if kind and isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "register":
                found.append(_written(kind, call, classes))
    return found


def outline(module: str) -> tuple[set[str], set[str]]:
    """The names of the methods that a module registers, and the hooks that it implements or takes from elsewhere."""
    tree = parse(module)
    if tree is None:
        return set(), set()
    methods = {offer.name for offer in written(tree) if offer.kind == "method"}
    return methods - {"?"}, {hook.name for hook in _hooks(tree)} | _taken(tree)


def _written(kind: str, call: ast.Call, classes: dict[str, ast.ClassDef]) -> Written:
    first = call.args[0] if call.args else None
    name = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else "?"
    second = call.args[1] if len(call.args) > 1 else None
    cls = classes.get(second.id) if isinstance(second, ast.Name) else None
    if kind == "protocol" and isinstance(first, ast.Call) and isinstance(first.func, ast.Name):
        cls = classes.get(first.func.id)
        value = dict(assigned(cls)).get("id") if cls is not None else None
        name = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else "?"
    return Written(kind, name, cls)


def assigned(node: ast.Module | ast.ClassDef) -> list[tuple[str, ast.expr]]:
    """(name, value) of every ``name = value`` and ``name: type = value`` of a module or class."""
    found = []
    for line in node.body:
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        value = getattr(line, "value", None)
        found += [(t.id, value) for t in targets if isinstance(t, ast.Name) and value is not None]
    return found


def contract(module: str) -> int:
    """The contract that a plugin was made for."""
    tree = parse(module)
    value = dict(assigned(tree)).get("harness_contract") if tree is not None else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, int) else CONTRACT


def other_contract(number: int) -> str:
    """The sentence for a plugin that was made for another contract."""
    return (
        f"was made for plugin contract {number}, and this harness has contract {CONTRACT}: "
        f"install {'a newer version of the plugin' if number < CONTRACT else 'a newer harness'}"
    )


def fault(module: str) -> str | None:
    """Why a plugin will not work, as far as its source tells; None if nothing is seen."""
    if not module:
        return NO_MODULE
    try:
        tree = _parse(module)
    except SyntaxError as error:
        return f"failed to import: SyntaxError: {error.msg} (line {error.lineno})"
    spec = find(module)
    if spec is None:
        return f"failed to import: No module named {module!r}"
    if tree is None:
        return None  # compiled, or a namespace: nothing to read
    number = contract(module)
    if number != CONTRACT:
        return other_contract(number)
    for name in _imported(tree):
        if name not in sys.modules and find(name) is None:
            return f"failed to import: No module named {name!r}"
    return next(filter(None, map(_hook_fault, _hooks(tree))), None)


def _hooks(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("harness_")]


def _taken(tree: ast.Module) -> set[str]:
    """The hooks that another module defines and this one has too: by an import, or by giving them that name."""
    names = {name for name, _ in assigned(tree)}
    for node in tree.body:
        names |= {alias.asname or alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
    return set(HOOKS) if "*" in names else names & set(HOOKS)


def _hook_fault(hook: ast.FunctionDef) -> str | None:
    marked = any("hookimpl" in ast.unparse(decorator) for decorator in hook.decorator_list)
    if any("specname" in ast.unparse(decorator) for decorator in hook.decorator_list):
        return None
    if hook.name not in HOOKS:
        return f"implements {hook.name}, which is no hook; the hooks are {', '.join(HOOKS)}"
    if not marked:
        return f"defines {hook.name} without @hookimpl, so it is never called"
    extra = [a.arg for a in hook.args.args if a.arg not in HOOKS[hook.name]]
    given = ", ".join(HOOKS[hook.name])
    return f"implements {hook.name} with an argument {extra[0]!r}; the hook gives {given}" if extra else None


def _imported(tree: ast.Module) -> list[str]:
    """The top-level packages that are imported unconditionally."""
    names = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return list(dict.fromkeys(name.partition(".")[0] for name in names))
