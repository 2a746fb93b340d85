"""Methods that no distribution offers: classes of a script or notebook, identified by their source code."""

from __future__ import annotations

import hashlib
import inspect
import linecache
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle

from harness.errors import PluginError
from harness.method import Method
from harness.registry import plugin_code
from harness.registry.checks import checked_method
from harness.registry.entry_points import Origin, installed, names
from harness.registry.loading import Plugin, load

NOT_INSTALLED = "not installed"
"""The distribution in the records of local methods: no package holds their code."""

CONSTANTS = (bool, int, float, str, type(None))
"""Types of the globals whose values count."""


@dataclass(frozen=True)
class LocalOrigin(Origin):
    """A module of no distribution; ``digest`` is the sha256 of its relevant source code."""

    digest: str = ""

    @property
    def code(self) -> str:
        """The digest."""
        return self.digest

    @property
    def requirements(self) -> dict[str, str]:
        """None are known."""
        return {}


def plugin_of(cls: type[Method]) -> Plugin[type[Method]]:
    """The installed plugin that offers a class, or a local one made of it.

    Raises:
        PluginError: the class cannot be used, has the name of an installed method, or its source cannot be read.
    """
    for entry in installed():
        if entry.kind == "method" and entry.origin.module == cls.__module__ and not entry.fault:
            plugin = load("method", entry.origin.name)
            if plugin.value is cls:
                return plugin
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower().strip("_")
    if name in names("method"):
        raise PluginError(f"the class {cls.__name__} has the name of the installed method {name!r}", "rename the class")
    try:
        checked_method(name, cls)
    except PluginError as error:
        raise PluginError(f"{cls.__module__} {error.message}", error.hint) from None
    digest = source_digest(cls)
    # Other processes get the class as it is here: they may be unable to import its module, or its file has changed.
    for base in cls.__mro__:
        if _is_local(base.__module__, _folder(cls)):
            cloudpickle.register_pickle_by_value(sys.modules[base.__module__])
    return Plugin(name, cls, LocalOrigin(name, cls.__module__, NOT_INSTALLED, "local", digest))


def source_digest(cls: type) -> str:
    """sha256 over the source code that a class is made of.

    That is every file or notebook cell that holds the class, its bases, or a function, class or module that these name
    in their code, as far as it is in the folder of the class; plain constants that they name; and the whole package
    of an installed method among them. Names that are computed are not followed.

    Raises:
        PluginError: the source cannot be read.
    """
    packages = {entry.origin.module.partition(".")[0]: entry.origin for entry in installed() if entry.kind == "method"}
    folder, found, seen = _folder(cls), set[str](), set[int]()
    todo: list[tuple[str, Any]] = [(cls.__name__, cls)]
    while todo:
        name, thing = todo.pop()
        thing = inspect.unwrap(thing) if callable(thing) else thing
        if _is_constant(thing):
            found.add(f"{name}={thing!r}")
        elif isinstance(thing, type | FunctionType | ModuleType) and id(thing) not in seen:
            seen.add(id(thing))
            module = _module_name(thing)
            if (package := module.partition(".")[0]) in packages:
                found.add(packages[package].code)
            elif _is_local(module, folder):
                found.add(_text(thing))
                todo += _uses(thing)
    return hashlib.sha256("\0".join(sorted(found)).encode()).hexdigest()


def _folder(cls: type) -> Path:
    """The folder of the class's module; of a notebook the working folder."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return Path(file).resolve().parent if file else Path.cwd()


def _module_name(thing: Any) -> str:
    return str(thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", ""))


def _is_local(module: str, folder: Path) -> bool:
    """Whether a module is the user's own code: the script, the notebook, or a module in its folder."""
    if module == "__main__":
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or module.partition(".")[0] == plugin_code.HARNESS:
        return False
    path = Path(file).resolve()
    return "site-packages" not in path.parts and path.is_relative_to(folder)


def _text(thing: Any) -> str:
    """The complete file or notebook cell that defines a module, class or function; '' for a class of a notebook.

    Raises:
        PluginError: it cannot be read.
    """
    is_function = isinstance(thing, FunctionType)
    namespace = thing.__globals__ if is_function else vars(sys.modules[_module_name(thing)])
    file = thing.__code__.co_filename if is_function else namespace.get("__file__")
    text = "".join(linecache.getlines(file, namespace)) if file else ""
    generated = file == "<string>" and thing.__name__.startswith("__")  # by dataclass: its fields are parameters
    if file and not text and not generated:
        message = f"the source of {thing.__name__} cannot be read, so edits of it would go unnoticed"
        raise PluginError(message, "define it in a file or a notebook cell")
    return text


def _uses(thing: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of what a class consists of, with its bases; and of the globals in the code of a function."""
    if isinstance(thing, type):
        yield from (("", base) for base in thing.__bases__)
        for name, value in vars(thing).items():
            if not name.startswith("__") or isinstance(value, FunctionType):
                yield name, getattr(value, "__func__", None) or getattr(value, "fget", None) or value
    elif isinstance(thing, FunctionType):
        named = _names(thing.__code__) & thing.__globals__.keys()
        yield from ((name, thing.__globals__[name]) for name in named)


def _names(code: CodeType) -> set[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


def _is_constant(value: Any) -> bool:
    return all(map(_is_constant, value)) if isinstance(value, tuple) else isinstance(value, CONSTANTS)
