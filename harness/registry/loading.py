"""Loads a plugin by name: imports its module, calls its hook, and checks the result."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import pluggy

from harness import hookspecs
from harness.errors import PluginError, closest, describe_error, one_line, with_location
from harness.execution.global_state import listed, preserve_global_state
from harness.method import CONTRACT
from harness.registry.checks import CHECKS
from harness.registry.entry_points import (
    GROUPS,
    Broken,
    Entry,
    Kind,
    Origin,
    blocking_metadata,
    installed,
    names,
    offers,
    unknown_plugin,
)

if TYPE_CHECKING:
    from harness.protocols import Protocol

Value = TypeVar("Value")

HOOKS: dict[Kind, str] = {kind: f"harness_{kind}" for kind in GROUPS} | {"observer": "harness_cell_finished"}
"""Kind -> the hook that returns a plugin's value; an observer's value is the hook itself."""

HINT = "fix or uninstall that distribution; `harness plugins --strict` imports all and shows what is broken"


@dataclass(frozen=True)
class Plugin(Generic[Value]):
    """A plugin that was loaded.

    Attributes:
        name: the entry point's.
        value: a method's class, a ``BackboneOffer``, a ``Protocol``, a ``DatasetOffer``, a ``Metric``, or an
            observer's function.
        origin: where it comes from.
        changed: global settings that it changed when it was imported; they were restored.
    """

    name: str
    value: Value
    origin: Origin
    changed: tuple[str, ...] = ()

    @property
    def warning(self) -> str:
        """A warning about the settings that it changed, or ''."""
        changed = f"{self.origin} changed {listed(self.changed)} when it was imported; it was put back"
        return changed if self.changed else ""


def load(kind: Kind, name: str) -> Plugin[Any]:
    """The plugin of that kind and name; no other is imported.

    Raises:
        PluginError: no distribution offers it, several do, or it is broken; the message says which distribution.
    """
    entry = find(kind, name)
    try:
        return _load(entry)
    except PluginError as error:
        raise PluginError(f"{entry.origin} {error.message}", HINT) from error


def find(kind: Kind, name: str) -> Entry:
    """The entry point of that kind and name; of several, a valid one, if there is any. Nothing is imported.

    Raises:
        PluginError: no distribution offers it.
    """
    found = [entry for entry in installed() if (entry.kind, entry.origin.name) == (kind, name)]
    if not found:
        known = {*names(kind), *(_protocols() if kind == "protocol" else ())}
        raise unknown_plugin(kind, name, known)
    return min(found, key=lambda entry: bool(entry.fault))


def load_all(kind: Kind) -> tuple[list[Plugin[Any]], list[Broken]]:
    """All plugins of a kind that work, and those that do not."""
    plugins, broken = [], []
    for entry in installed():
        if entry.kind == kind:
            try:
                plugins.append(_load(entry))
            except PluginError as error:
                broken.append(Broken(kind, entry.origin, error.message))
    return plugins, broken


def find_protocol(name: str) -> tuple[Protocol, str] | None:
    """The harness's own protocol of that name, or a plugin's with its edition; None if there is none.

    Raises:
        PluginError: the plugin is broken.
    """
    if name in (built_in := _protocols()):
        return built_in[name], ""
    if not offers("protocol", name):
        return None
    plugin = load("protocol", name)
    return plugin.value, plugin.origin.edition


def _protocols() -> Mapping[str, Protocol]:
    """The harness's own protocols."""
    from harness.protocols import PROTOCOLS  # here, because listing plugins does not need it

    return PROTOCOLS


_changed: WeakKeyDictionary[ModuleType, tuple[str, ...]] = WeakKeyDictionary()
"""Module -> the settings that its import changed; modules are imported only once."""


def _load(entry: Entry) -> Plugin[Any]:
    """Import a plugin and call its hook. What it prints goes to stderr; global state is restored.

    Raises:
        PluginError: it cannot be used; the message says why, and the caller adds the plugin's name.
    """
    if entry.fault:
        raise PluginError(entry.fault)
    with preserve_global_state() as changed, contextlib.redirect_stdout(sys.stderr):
        value = CHECKS[entry.kind](entry.origin.name, _value(entry))
    before = _changed.setdefault(sys.modules[entry.point.module], tuple(changed))
    _ = entry.origin.code  # raises if it cannot be read: results are identified by it
    return Plugin(entry.origin.name, value, entry.origin, before)


def _value(entry: Entry) -> Any:
    point, name = entry.point, HOOKS[entry.kind]
    with _explained("failed to import", point):
        holder = point.load()
    _require_contract(getattr(sys.modules[point.module], "harness_contract", CONTRACT))
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    with _explained("failed to register", point):
        manager.register(holder, point.name)
    hook = getattr(manager.hook, name)
    for caller in manager.get_hookcallers(holder) or ():
        if not caller.has_spec() and not all(one.optionalhook for one in caller.get_hookimpls()):
            near = closest(caller.name, HOOKS.values())
            meant = f": did you mean {near}?" if near else ""
            raise PluginError(f"implements {caller.name}, which is not a hook{meant}")
    if not hook.get_hookimpls():
        missing = f"does not implement {name}, which the group of its entry point asks for"
        raise PluginError(f"defines {name}, which must be marked with @hookimpl" if hasattr(holder, name) else missing)
    if entry.kind == "observer":
        return hook
    with _explained(f"failed in {name}", point):
        return hook()


def _require_contract(number: object) -> None:
    if number != CONTRACT:
        newer = "harness" if isinstance(number, int) and number > CONTRACT else "version of the plugin"
        raise PluginError(
            f"was made for plugin contract {number}, and this harness has contract {CONTRACT}: install a newer {newer}"
        )


@contextlib.contextmanager
def _explained(what: str, point: EntryPoint) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:  # third-party code may raise anything
        if damage := blocking_metadata():  # every other plugin would be blamed as well
            raise damage from error
        reason = (one_line(error) if isinstance(error, ImportError) else "") or describe_error(error)
        raise PluginError(with_location(f"{what}: {reason}", error, point.module)) from error
