"""Entry points of installed distributions, read from their metadata: nothing is imported.

``importlib.metadata.entry_points`` and pluggy's loader of a group stop at the first damaged record. Here every
distribution is read separately, so that a broken one is reported and does not affect others.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Literal

from harness.registry import plugin_code

Kind = Literal["method", "backbone", "protocol", "dataset", "metric", "observer"]

GROUPS: dict[Kind, str] = {
    "method": "harness",
    "backbone": "harness.backbones",
    "protocol": "harness.protocols",
    "dataset": "harness.datasets",
    "metric": "harness.metrics",
    "observer": "harness.observers",
}
"""Kind -> the group of its entry points."""

NAME = re.compile(r"[a-z][a-z0-9_-]*")
"""Valid plugin names: they appear in commands, file names and leaderboards."""

OWN = "laion-beyond-harness"
"""The distribution of the harness itself."""

UNKNOWN = "unknown"
"""Name or version of a distribution whose metadata lack it."""


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
        return f"{self.distribution} {self.version} {self.code}"

    @property
    def code(self) -> str:
        """sha256 over the code of the distribution; raises PluginError if it cannot be read."""
        top, *inner = self.module.split(".")
        # The code of a plugin inside the harness is that of its subpackage.
        top = ".".join((top, *inner[:1])) if top == plugin_code.HARNESS else top
        return plugin_code.code_digest(top, self.distribution)

    @property
    def requirements(self) -> dict[str, str]:
        """Versions of what the distribution requires; those of the harness are in every cell already."""
        needed = {} if self.distribution == OWN else plugin_code.requirements(self.distribution)
        return {name: version for name, version in needed.items() if name != OWN}


@dataclass(frozen=True)
class Broken:
    """A plugin that cannot be used, with the reason."""

    kind: Kind
    origin: Origin
    reason: str

    def __str__(self) -> str:
        return f"{self.origin} {self.reason}"


@dataclass(frozen=True)
class Entry:
    """One entry point; ``fault`` is the reason why it cannot be used, as far as metadata show, or empty."""

    kind: Kind
    origin: Origin
    point: EntryPoint
    fault: str = ""


def names(kind: Kind) -> tuple[str, ...]:
    """The names of all plugins of a kind, sorted, without those whose metadata show a fault."""
    return tuple(entry.origin.name for entry in installed() if entry.kind == kind and not entry.fault)


def offers(kind: Kind, name: str) -> bool:
    """Whether some distribution offers a plugin of that name, usable or not."""
    return any((entry.kind, entry.origin.name) == (kind, name) for entry in installed())


def broken() -> list[Broken]:
    """The plugins that cannot be used, as far as metadata show; one that fails to import is not among them."""
    found = []
    for entry in installed():
        missing = not entry.fault and plugin_code.find(entry.origin.module) is None
        fault = f"failed to import: No module named {entry.origin.module!r}" if missing else entry.fault
        found += [Broken(entry.kind, entry.origin, fault)] if fault else []
    return found


def installed() -> list[Entry]:
    """The entry points of all installed distributions, sorted by kind and name."""
    named: dict[tuple[Kind, str], list[Entry]] = defaultdict(list)
    seen: set[str] = set()
    for dist in distributions():
        entries = list(_entries(dist))
        known = canonical(entries[0].origin.distribution) if entries else UNKNOWN
        # Of a distribution that is installed twice (editable, or below a virtual environment) the first counts.
        if known not in seen:
            for entry in entries:
                named[entry.kind, entry.origin.name].append(entry)
        seen |= {known} - {UNKNOWN}
    found = [entry for same in named.values() for entry in _without_clashes(same)]
    return sorted(found, key=lambda entry: (list(GROUPS).index(entry.kind), entry.origin.name, str(entry.origin)))


def canonical(distribution: str) -> str:
    """A distribution's name in the form that is compared: upper case, dots and underscores make no difference."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _entries(dist: Distribution) -> Iterator[Entry]:
    """The entry points of a distribution; one without a module for each group of a record that cannot be read."""
    try:
        text = dist.read_text("entry_points.txt") or ""
    except (OSError, ValueError):
        return
    kinds = [kind for kind, group in GROUPS.items() if f"[{group}]" in text]
    if not kinds:
        return  # most distributions: reading the text takes a fiftieth of the time of parsing it
    distribution, version = _metadata(dist, "Name"), _metadata(dist, "Version")
    try:
        points = list(dist.entry_points)
    except Exception:  # importlib.metadata raises nearly anything on a damaged record
        points = [EntryPoint(distribution, "", GROUPS[kind]) for kind in kinds]
    for kind in kinds:
        for point in points:
            if point.group == GROUPS[kind]:
                origin = Origin(point.name, _module(point), distribution, version)
                yield Entry(kind, origin, point, _fault(origin))


def _fault(origin: Origin) -> str:
    if not origin.module:
        return "names no module: the entry_points.txt of its distribution is damaged"
    return "" if NAME.fullmatch(origin.name) else "has a name that is not lower case letters, digits, '_' and '-'"


def _without_clashes(same: list[Entry]) -> list[Entry]:
    """Entries of one kind and name: only the harness's own is valid, so no package can replace it; else none is."""
    if len(same) == 1:
        return same
    own = any(entry.origin.distribution == OWN for entry in same)
    found = []
    for i, entry in enumerate(same):
        what, fault = f"offers the {entry.kind} {entry.origin.name!r}", entry.fault
        if not own:
            others = ", ".join(str(other.origin) for other in same[:i] + same[i + 1 :])
            fault = fault or f"{what}, which {others} offers too"
        elif entry.origin.distribution != OWN:
            fault = fault or f"{what}, which comes with the harness: it needs another name"
        found.append(replace(entry, fault=fault))
    return found


def _module(point: EntryPoint) -> str:
    """The module of an entry point, '' if its value is invalid."""
    try:
        return point.module
    except (AssertionError, AttributeError, ValueError):  # what it raises depends on the version of Python
        return ""


def _metadata(dist: Distribution, field: str) -> str:
    try:
        return str(dist.metadata[field] or UNKNOWN)
    except Exception:  # no metadata at all, or without that line
        return UNKNOWN
