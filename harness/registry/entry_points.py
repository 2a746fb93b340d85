"""Finds what installed distributions offer, and survives the broken ones.

Each entry point of the group ``harness`` names one plugin module. Entry points are loaded one by one, so that a broken
distribution is named and stops nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import TYPE_CHECKING

from harness.errors import PluginError, closest
from harness.execution.global_state import listed
from harness.method import Method
from harness.registry import fingerprint
from harness.registry.loading import BackboneOffer, Offers, load_plugin
from harness.registry.source import OPAQUE, module_of, outline

if TYPE_CHECKING:
    from harness.protocols import Protocol
    from harness.types.cell import Cell

GROUP = "harness"

OWN = "laion-beyond-harness"
"""The distribution of the harness itself."""

UNKNOWN = "unknown"
"""What a distribution does not tell of itself."""


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from: the entry point's name, its module, its distribution and version."""

    name: str
    module: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"plugin {self.name!r} ({self.distribution} {self.version})"

    @property
    def edition(self) -> str:
        """Distribution, version and code: what numbers depend on."""
        return f"{self.distribution} {self.version} {code_digest(self)}"


@dataclass(frozen=True)
class MethodEntry:
    """A registered method and where it comes from."""

    name: str
    method: type[Method]
    source: Origin


@dataclass(frozen=True)
class Broken:
    """A plugin that cannot be used, with the reason."""

    source: Origin
    reason: str

    def __str__(self) -> str:
        return f"{self.source} {self.reason}"


@dataclass(frozen=True)
class Intrusion:
    """Shared settings that a plugin changed when it was imported; they were put back."""

    source: Origin
    changed: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.source} changed {listed(self.changed)} when it was imported; it was put back"


@dataclass
class Registry:
    """What the plugins offer, and the plugins that could not be used.

    Attributes:
        methods: by name.
        backbones: (offer, origin) by name.
        protocols: (protocol, origin) by id.
        observers: (origin, function of a finished cell).
        broken: plugins that could not be used, as a whole or for one of their names.
        intrusions: plugins that changed what all share when they were imported.
    """

    methods: dict[str, MethodEntry] = field(default_factory=dict)
    backbones: dict[str, tuple[BackboneOffer, Origin]] = field(default_factory=dict)
    protocols: dict[str, tuple[Protocol, Origin]] = field(default_factory=dict)
    observers: list[tuple[Origin, Callable[[Cell], None]]] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    intrusions: list[Intrusion] = field(default_factory=list)

    def get(self, name: str) -> MethodEntry:
        """The method of that name.

        Raises:
            PluginError: no plugin offers it; the hint names the nearest one, or the broken plugin that might.
        """
        if name in self.methods:
            return self.methods[name]
        self.blame(name)
        near = closest(name, self.methods)
        hint = f"did you mean {near}?" if near else f"installed: {', '.join(sorted(self.methods)) or 'none'}"
        raise PluginError(f"no method named {name!r}", hint)

    def blame(self, name: str) -> None:
        """Raise the error of a broken plugin that might offer a name that nobody offers.

        Raises:
            PluginError: there is one.
        """
        for culprit in self.broken:
            if culprit.source.name == name or repr(name) in culprit.reason:
                raise PluginError(str(culprit), "fix or uninstall that distribution; `harness plugins` shows all")


def installed() -> list[tuple[Origin, EntryPoint]]:
    """The plugin modules of all installed distributions, sorted by name; imports nothing.

    A distribution is asked for its entry points by itself: the record of one that is damaged, as a broken installation
    leaves it, would end ``importlib.metadata.entry_points`` for all.
    """
    found: dict[Origin, EntryPoint] = {}
    seen: set[str] = set()
    for dist in distributions():
        if points := _points(dist):
            name, version = (_told(dist, what) for what in ("Name", "Version"))
            known = canonical(name)
            # Of a distribution that is installed twice (editable, or below a virtual environment) the first counts.
            if known not in seen:
                found |= {Origin(point.name, module_of(point), name, version): point for point in points}
            seen |= {known} - {UNKNOWN}
    return sorted(found.items(), key=lambda pair: (pair[0].name, pair[0].distribution))


def canonical(distribution: str) -> str:
    """A distribution's name as it is compared: upper case, dots and underscores tell nothing apart."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _points(dist: Distribution) -> list[EntryPoint]:
    """The plugin modules of a distribution; one that names no module if its record offers some and cannot be read."""
    try:
        return [point for point in dist.entry_points if point.group == GROUP]
    except Exception:  # importlib.metadata raises nearly anything on a damaged record
        try:
            offers = f"[{GROUP}]" in (dist.read_text("entry_points.txt") or "")
        except (OSError, ValueError):
            offers = False
        return [EntryPoint(_told(dist, "Name"), "", GROUP)] if offers else []


def _told(dist: Distribution, what: str) -> str:
    try:
        return str(dist.metadata[what] or UNKNOWN)
    except Exception:  # no metadata at all, or without that line
        return UNKNOWN


def load(only: Iterable[str] | None = None, hooks: Iterable[str] = ()) -> Registry:
    """Load plugins and collect what they offer.

    Args:
        only: method names that are wanted: only plugins that are called so, or whose source registers such a name or
            does not tell its names, are loaded, which saves the import of everything else. A name that none of them
            has loads all. None loads all.
        hooks: beside these, every plugin whose source implements one of these hooks is loaded.
    """
    points = installed()
    if only is None:
        return collect(points)
    wanted, hooks = set(only), set(hooks)
    # An object in a module may hold anything.
    outlines = {source: OPAQUE if ":" in point.value else outline(source.module) for source, point in points}
    spelt = {source: {source.name, *outlines[source].methods} for source in outlines}
    chosen = [
        (source, point)
        for source, point in points
        if spelt[source] & wanted or outlines[source].hooks & hooks or (wanted and outlines[source].more)
    ]
    found = collect(chosen)
    nowhere = wanted - set().union(*spelt.values()) - found.methods.keys()
    return collect(points) if nowhere else found


def collect(points: Iterable[tuple[Origin, EntryPoint]]) -> Registry:
    """Load the given entry points, each in its own try."""
    registry = Registry()
    offers: dict[Origin, Offers] = {}
    for source, point in points:
        try:
            offer = load_plugin(point)
            code_digest(source)  # without it nobody could tell its results from those of another version
            offers[source] = offer
        except PluginError as error:
            registry.broken.append(Broken(source, error.message))
    taken = clashes((kind, name, source) for source, offer in offers.items() for kind, name in offer.names())
    registry.broken += [culprit for _, culprit in taken]
    lost = {(kind, name, culprit.source) for (kind, name), culprit in taken}
    registry.intrusions = [Intrusion(source, offer.changed) for source, offer in offers.items() if offer.changed]
    for source, offer in offers.items():
        for name, method in offer.methods.items():
            if ("method", name, source) not in lost:
                registry.methods[name] = MethodEntry(name, method, source)
        for name, backbone in offer.backbones.items():
            if ("backbone", name, source) not in lost:
                registry.backbones[name] = backbone, source
        for name, protocol in offer.protocols.items():
            if ("protocol", name, source) not in lost:
                registry.protocols[name] = protocol, source
        if offer.observer is not None:
            registry.observers.append((source, offer.observer))
    registry.methods = dict(sorted(registry.methods.items()))
    return registry


def find_protocol(name: str) -> tuple[Protocol, str] | None:
    """The harness's own protocol of that name, or an installed plugin's with its edition; None if there is none."""
    from harness.protocols import PROTOCOLS  # here, because listing plugins does without

    if name in PROTOCOLS:
        return PROTOCOLS[name], ""
    offered = load((), {"harness_register_protocols"}).protocols
    if name not in offered:
        offered = load().protocols
    rule, source = offered.get(name, (None, None))
    return None if rule is None or source is None else (rule, source.edition)


def clashes(offers: Iterable[tuple[str, str, Origin]]) -> list[tuple[tuple[str, str], Broken]]:
    """The (kind, name) pairs that several plugins offer, with each culprit.

    Such a name is nobody's, unless it comes with the harness: then it stays the harness's, and a package that is
    installed later cannot take a method out of work.
    """
    by_name: dict[tuple[str, str], list[Origin]] = {}
    for kind, name, source in offers:
        by_name.setdefault((kind, name), []).append(source)
    found = []
    for (kind, name), sources in sorted(by_name.items()):
        if len(sources) == 1:
            continue
        own = any(source.distribution == OWN for source in sources)
        for source in sources:
            others = ", ".join(str(other) for other in sources if other is not source)
            if not own:
                found.append(((kind, name), Broken(source, f"offers the {kind} {name!r}, which {others} offers too")))
            elif source.distribution != OWN:
                reason = f"offers the {kind} {name!r}, which comes with the harness: it needs a name of its own"
                found.append(((kind, name), Broken(source, reason)))
    return found


def code_digest(source: Origin) -> str:
    """sha256 over the code of a plugin's distribution.

    Raises:
        PluginError: it cannot be read.
    """
    return fingerprint.code_digest(source.module.partition(".")[0], source.distribution)


def requirements(source: Origin) -> dict[str, str]:
    """Versions of what a plugin's distribution requires; those of the harness's own stand in every cell as they are."""
    needed = {} if source.distribution == OWN else fingerprint.requirements(source.distribution)
    return {name: version for name, version in needed.items() if name != OWN}
