"""Finds the methods that installed distributions offer, and survives the broken ones.

Each entry point of the group ``harness`` names one plugin module. Entry points are loaded one by one, so that a broken
distribution is named and stops nobody else.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pluggy

from harness import hookspecs
from harness.errors import PluginError, closest
from harness.files import source_digest
from harness.method import Method

GROUP = "harness"


@dataclass(frozen=True)
class Source:
    """Where a plugin comes from: the entry point's name, its module, its distribution and version."""

    name: str
    module: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"plugin {self.name!r} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class Entry:
    """A registered method and where it comes from."""

    name: str
    method: type[Method]
    source: Source


@dataclass(frozen=True)
class Broken:
    """A plugin that cannot be used, with the reason."""

    source: Source
    reason: str

    def __str__(self) -> str:
        return f"{self.source} {self.reason}"


@dataclass
class Registry:
    """The methods by name, and the plugins that could not be used."""

    methods: dict[str, Entry] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)

    def get(self, name: str) -> Entry:
        """The method of that name.

        Raises:
            PluginError: no plugin offers it; the hint names the nearest one, or the broken plugin that might.
        """
        if name in self.methods:
            return self.methods[name]
        suspects = [b for b in self.broken if b.source.name == name or repr(name) in b.reason]
        if suspects:
            raise PluginError(str(suspects[0]), "fix or uninstall that distribution; `harness plugins` shows all")
        near = closest(name, self.methods)
        hint = f"did you mean {near}?" if near else f"installed: {', '.join(sorted(self.methods)) or 'none'}"
        raise PluginError(f"no method named {name!r}", hint)


def installed() -> list[tuple[Source, EntryPoint]]:
    """The plugin modules of all installed distributions, sorted by name; imports nothing."""
    found = {}
    for point in entry_points(group=GROUP):
        dist = point.dist
        source = Source(point.name, point.module, dist.name if dist else "unknown", dist.version if dist else "unknown")
        found[source] = point  # an editable install can list the same distribution twice
    return sorted(found.items(), key=lambda pair: (pair[0].name, pair[0].distribution))


def load(only: Iterable[str] | None = None) -> Registry:
    """Load plugins and collect their methods.

    Args:
        only: method names that are wanted. If entry points of these names exist, only they are loaded, which saves
            the import of everything else; a name that is no entry point loads all. None loads all.
    """
    points = installed()
    wanted = None if only is None else set(only)
    if wanted is not None and wanted <= {source.name for source, _ in points}:
        points = [(source, point) for source, point in points if source.name in wanted]
    return collect(points)


def collect(points: Iterable[tuple[Source, EntryPoint]]) -> Registry:
    """Load the given entry points, each in its own try."""
    registry = Registry()
    offers: dict[str, list[Entry]] = {}
    for source, point in points:
        try:
            for entry in _load_one(source, point):
                offers.setdefault(entry.name, []).append(entry)
        except PluginError as error:
            registry.broken.append(Broken(source, error.message))
    for name, entries in sorted(offers.items()):
        if len(entries) == 1:
            registry.methods[name] = entries[0]
            continue
        for entry in entries:
            others = ", ".join(str(e.source) for e in entries if e is not entry)
            registry.broken.append(Broken(entry.source, f"offers the method {name!r}, which {others} offers too"))
    return registry


def _load_one(source: Source, point: EntryPoint) -> list[Entry]:
    try:
        module = point.load()
    except (Exception, SystemExit) as error:  # third-party code may do anything when imported
        raise PluginError(f"failed to import: {_reason(error)}") from error
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    entries: list[Entry] = []

    def register(name: str, method: type[Method]) -> None:
        if not (isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name)):
            raise PluginError(f"offers a method named {name!r}; names are lower case with underscores")
        if not (isinstance(method, type) and issubclass(method, Method)):
            raise PluginError(f"offers {name!r}, which is not a subclass of harness.method.Method")
        if inspect.isabstract(method):
            missing = ", ".join(sorted(method.__abstractmethods__))
            raise PluginError(f"offers {name!r}, which does not implement {missing}")
        if not dataclasses.is_dataclass(method):
            raise PluginError(f"offers {name!r}, which is not a dataclass")
        if any(entry.name == name for entry in entries):
            raise PluginError(f"offers the method {name!r} twice")
        entries.append(Entry(name, method, source))

    try:
        manager.register(module, source.name)
        manager.check_pending()
        manager.hook.harness_register_methods(register=register)
    except PluginError:
        raise
    except (Exception, SystemExit) as error:  # wrong hook signature, misspelt hook, or the hook raised
        raise PluginError(f"failed to register: {_reason(error)}") from error
    if not entries:
        raise PluginError("offers no method; harness_register_methods must be marked with @hookimpl")
    return entries


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ImportError) and text else f"{type(error).__name__}: {text}"


@cache
def code_digest(module: str) -> str:
    """sha256 over the source of a module's top-level package (or the single file), without importing it.

    It stands in every cell, so that an edited method is never answered from results of its former self.
    """
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None or spec.origin is None:
        return "unknown"
    return source_digest(Path(place) for place in spec.submodule_search_locations or [spec.origin])
