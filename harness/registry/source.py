"""Reads a plugin's source without importing it: so reading is quick, and nothing that stands there can break it."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from dataclasses import dataclass, replace
from functools import cache
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec, PathFinder
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
    content = _read(module)
    try:
        return None if content is None else _tree(content)
    except SyntaxError:
        raise
    except ValueError:
        return None


def _read(module: str) -> bytes | None:
    """The source of a module, None if there is none: it is not there, or compiled."""
    spec = find(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(tuple(SOURCE_SUFFIXES)):
        return None
    try:
        with open(spec.origin, "rb") as file:  # noqa: PTH123 - pathlib costs a tenth of the listing's time
            return file.read()
    except OSError:
        return None


@cache
def _tree(content: bytes) -> ast.Module:
    """Parsed once by content, however often it is asked for; nobody changes a tree."""
    return ast.parse(content)


@dataclass(frozen=True)
class Hook:
    """A hook that a module implements: its name, and where its function stands, if that can be seen."""

    name: str
    function: ast.FunctionDef | None
    tree: ast.Module


def hooks(module: str, above: tuple[str, ...] = ()) -> list[Hook]:
    """The hooks of a module, those too that it takes from other modules (``above`` are asking), in their order."""
    tree = parse(module)
    if tree is None or module in above:
        return []
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("harness_"):
            found.append(Hook(node.name, node, tree))
        elif isinstance(node, ast.ImportFrom):
            names = [(alias.name, alias.asname or alias.name) for alias in node.names]
            if any(name in HOOKS or name == "*" for pair in names for name in pair):
                there = {hook.name: hook for hook in hooks(_origin(module, node), (*above, module))}
                names += [(name, name) for name in there if ("*", "*") in names]
                kept = [(there.get(name), own) for name, own in names if own in HOOKS]
                found += [replace(hook, name=own) if hook else Hook(own, None, tree) for hook, own in kept]
    found += [Hook(name, None, tree) for name, _ in assigned(tree) if name in HOOKS]
    return found


def _origin(module: str, node: ast.ImportFrom) -> str:
    """The module that ``from ... import`` names."""
    if not node.level:
        return node.module or ""
    spec = find(module)
    is_package = spec is not None and spec.submodule_search_locations is not None
    package = module if is_package else module.rpartition(".")[0]
    try:
        return importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:  # beyond the top
        return ""


def written(module: str) -> list[Written]:
    """What a module offers, in the order of its hooks."""
    found = []
    for hook in hooks(module):
        kind = KINDS.get(hook.name)
        if kind is None:
            continue
        classes = {node.name: node for node in hook.tree.body if isinstance(node, ast.ClassDef)}
        calls = [node for node in ast.walk(hook.function or ast.Pass()) if isinstance(node, ast.Call)]
        calls = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "register"]
        found += [_written(kind, call, classes) for call in calls] or [Written(kind, "?", None)]
    return found


@dataclass(frozen=True)
class Outline:
    """What a plugin may offer, as far as its source tells.

    Attributes:
        methods: names of methods that it registers.
        hooks: names of hooks that it may implement.
        more: whether it may register methods of other names.
    """

    methods: frozenset[str] = frozenset()
    hooks: frozenset[str] = frozenset()
    more: bool = False


OPAQUE = Outline(hooks=frozenset(HOOKS), more=True)
"""Of what cannot be read, as a compiled module."""


def outline(module: str) -> Outline:
    """What a plugin may offer. A hook is any that its source names, since there are many ways to come by one."""
    content = _read(module)
    if content is None:
        spec = find(module)
        return OPAQUE if spec is not None and spec.origin is not None else Outline()
    named = {name for name in HOOKS if name.encode() in content} | {hook.name for hook in hooks(module)}
    methods = {offer.name for offer in written(module) if offer.kind == "method"}
    more = "?" in methods or ("harness_register_methods" in named and not methods)
    return Outline(frozenset(methods - {"?"}), frozenset(named & HOOKS.keys()), more)


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
    return next(filter(None, (_hook_fault(hook.function) for hook in hooks(module) if hook.function)), None)


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
