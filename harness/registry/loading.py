"""Loads a plugin by name: imports its module, calls its hook, and checks the result."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pluggy

from harness import hookspecs
from harness.errors import PluginError, describe_error, one_line, unknown_name, with_location
from harness.execution.global_state import listed, preserve_global_state
from harness.method import CONTRACT
from harness.registry.checks import CHECKS, built_in
from harness.registry.entry_points import (
    GROUPS,
    Broken,
    Entry,
    Kind,
    Origin,
    blocking_metadata,
    damaged,
    installed,
    names,
    offers,
    other_kind,
)

if TYPE_CHECKING:
    from harness.protocols import Protocol

Value = TypeVar("Value")

HOOKS: dict[Kind, str] = {kind: f"harness_{kind}" for kind in GROUPS}
"""Kind -> the hook that returns a plugin's value."""

HINT = "fix or uninstall that distribution; `harness plugins --strict` imports all and shows what is broken"


@dataclass(frozen=True)
class Plugin(Generic[Value]):
    """A plugin that was loaded.

    Attributes:
        name: the entry point's.
        value: a method's class, a ``BackboneOffer``, a ``Protocol``, a ``DatasetOffer``, a ``Metric``, an ``Observer``,
            or a function that opens an executor.
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
    found = _loaded(find(kind, name))
    if isinstance(found, Broken):
        raise PluginError(str(found), HINT)
    return found


def find(kind: Kind, name: str) -> Entry:
    """The entry point of that kind and name; of several, a valid one, if there is any. Nothing is imported.

    Raises:
        PluginError: no distribution offers it.
    """
    found = [entry for entry in installed() if (entry.kind, entry.origin.name) == (kind, name)]
    if not found:
        hint = unknown_name(kind, name, {*names(kind), *built_in(kind)}).hint
        unknown = PluginError(f"no {kind} named {name!r}", "; ".join([str(hint), *map(str, damaged())]))
        raise other_kind(kind, name) or unknown
    return min(found, key=lambda entry: bool(entry.fault))


def load_all(kind: Kind, without: Collection[str] = ()) -> tuple[list[Plugin[Any]], list[Broken]]:
    """All plugins of a kind that work, and those that do not; those of some distributions are not even imported."""
    wanted = [entry for entry in installed() if entry.kind == kind and entry.origin.distribution not in without]
    found = [_loaded(entry) for entry in wanted]
    return [one for one in found if isinstance(one, Plugin)], [one for one in found if isinstance(one, Broken)]


def find_protocol(name: str) -> tuple[Protocol, str] | None:
    """The harness's own protocol of that name, or a plugin's with its edition; None if there is none.

    Raises:
        PluginError: the plugin is broken.
    """
    if found := built_in("protocol").get(name):
        return found, ""
    if not offers("protocol", name):
        return None
    plugin = load("protocol", name)
    return plugin.value, plugin.origin.edition


@cache
def _loaded(entry: Entry) -> Plugin[Any] | Broken:
    """Import a plugin and call its hook, once in a process. What it prints goes to stderr; global state is restored."""
    try:
        if entry.fault:
            raise PluginError(entry.fault)
        with preserve_global_state() as changed, contextlib.redirect_stdout(sys.stderr):
            value = CHECKS[entry.kind](entry.origin.name, _value(entry))
        _ = entry.origin.code  # raises if it cannot be read: results are identified by it
    except PluginError as error:
        return Broken(entry.kind, entry.origin, error.message)
    return Plugin(entry.origin.name, value, entry.origin, tuple(changed))


def _value(entry: Entry) -> Any:
    point, name = entry.point, HOOKS[entry.kind]
    with _explained("failed to import", point):
        holder = point.load()
    if (number := getattr(sys.modules[point.module], "harness_contract", CONTRACT)) != CONTRACT:
        raise PluginError(f"was made for plugin contract {number}, and this harness has contract {CONTRACT}")
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    with _explained("failed to register", point):
        manager.register(holder, point.name)
    hooks = [caller.name for caller in manager.get_hookcallers(holder) or ()]
    if name not in hooks:
        raise PluginError(f"implements {' and '.join(hooks) or 'no hook'}, not {name}; hooks are marked with @hookimpl")
    with _explained(f"failed in {name}", point):
        return getattr(manager.hook, name)()


@contextlib.contextmanager
def _explained(what: str, point: EntryPoint) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:  # third-party code may raise anything
        if damage := blocking_metadata():  # every other plugin would be blamed as well
            raise damage from error
        reason = (one_line(error) if isinstance(error, ImportError) else "") or describe_error(error)
        raise PluginError(with_location(f"{what}: {reason}", error, point.module)) from error
