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
        if _is_local(base, _folder(cls)):
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
    found: set[str] = set()
    todo: list[Any] = [cls]
    seen: set[int] = set()
    folder = _folder(cls)
    packages = {entry.origin.module.partition(".")[0]: entry.origin for entry in installed() if entry.kind == "method"}
    while todo:
        thing = inspect.unwrap(todo.pop())
        package = str(getattr(thing, "__module__", "")).partition(".")[0]
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if package in packages:
            found.add(packages[package].code)
        elif _is_local(thing, folder):
            found.add(_text(thing))
            todo += _parts(thing)
            found |= {f"{name}={value!r}" for name, value in _named(thing) if _is_constant(value)}
    return hashlib.sha256("\0".join(sorted(found)).encode()).hexdigest()


def _folder(cls: type) -> Path:
    """The folder of the class's module; of a notebook the working folder."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return Path(file).resolve().parent if file else Path.cwd()


def _is_local(thing: Any, folder: Path) -> bool:
    """Whether a class, function or module is the user's own code: of the script, or of a module in its folder."""
    name = str(thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", ""))
    if name == "__main__":
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or name.partition(".")[0] == plugin_code.HARNESS:
        return False
    path = Path(file).resolve()
    return "site-packages" not in path.parts and path.is_relative_to(folder)


def _text(thing: Any) -> str:
    """The complete file or notebook cell that defines a function or module; for a class, ''.

    Raises:
        PluginError: it cannot be read.
    """
    if isinstance(thing, ModuleType):
        file, space = thing.__file__ or "", vars(thing)
    elif isinstance(thing, FunctionType) and thing.__globals__.get("__name__") == thing.__module__:
        file, space = thing.__code__.co_filename, thing.__globals__
    else:
        return ""
    text = "".join(linecache.getlines(file, space))
    generated = file == "<string>" and thing.__name__.startswith("__")  # by dataclass: its fields are parameters
    if not text and not generated:
        message = f"the source of {thing.__name__} cannot be read, so edits of it would go unnoticed"
        raise PluginError(message, "define it in a file or a notebook cell")
    return text


def _parts(thing: Any) -> list[Any]:
    """The parts to follow: bases and functions of a class, and what the code of a function names."""
    if isinstance(thing, type):
        own = [
            getattr(value, "__func__", None) or getattr(value, "fget", None) or value for value in vars(thing).values()
        ]
        return [*thing.__bases__, *(value for value in own if isinstance(value, FunctionType | type))]
    return [value for _, value in _named(thing) if isinstance(value, FunctionType | type | ModuleType)]


def _named(thing: Any) -> Iterator[tuple[str, Any]]:
    """The global names in the code of a function, with their values."""
    if isinstance(thing, FunctionType):
        for name in sorted(_names(thing.__code__)):
            if name in thing.__globals__:
                yield name, thing.__globals__[name]


def _names(code: CodeType) -> set[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_constant, value))
    return value is None or isinstance(value, bool | int | float | str)
