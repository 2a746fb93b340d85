"""Entry points of installed distributions, read from their metadata: nothing is imported.

``importlib.metadata.entry_points`` and pluggy's loader of a group stop at the first damaged record. Here every
distribution is read separately, so that a damaged one is reported and does not affect others.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from typing import Literal

from harness.errors import PluginError, StorageError, describe_error
from harness.registry import plugin_code

Kind = Literal["method", "backbone", "protocol", "dataset", "metric", "observer", "executor"]

GROUPS: dict[Kind, str] = {
    "method": "harness",
    "backbone": "harness.backbones",
    "protocol": "harness.protocols",
    "dataset": "harness.datasets",
    "metric": "harness.metrics",
    "observer": "harness.observers",
    "executor": "harness.executors",
}
"""Kind -> the group of its entry points."""

NAME = re.compile(r"[a-z][a-z0-9_-]*")
"""Valid plugin names: they appear in commands, file names and leaderboards."""

OWN = "laion-beyond-harness"
"""The distribution of the harness itself."""


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from: the entry point's name, its module, its distribution and version.

    Name and module are '' for a whole distribution.
    """

    name: str
    module: str
    distribution: str
    version: str

    def __str__(self) -> str:
        whole = f"{self.distribution} {self.version}"
        return f"plugin {self.name!r} ({whole})" if self.name else f"distribution {whole}"

    @property
    def edition(self) -> str:
        """Distribution, version and code: what numbers depend on."""
        return f"{self.distribution} {self.version} {self.code}"

    @property
    def code(self) -> str:
        """sha256 over the code of the distribution; raises PluginError if it cannot be read."""
        return plugin_code.code_digest(plugin_code.package_of(self.module), self.distribution)

    @property
    def places(self) -> tuple[Path, ...]:
        """Where its code is: folders, or a file."""
        return plugin_code.places(self.module)

    @property
    def requirements(self) -> dict[str, str]:
        """Versions of what the distribution requires; those of the harness are in every cell already."""
        needed = {} if self.distribution == OWN else plugin_code.requirements(self.distribution)
        return {name: version for name, version in needed.items() if name != OWN}


@dataclass(frozen=True)
class Broken:
    """A plugin that cannot be used, with the reason; or a distribution whose plugins are not known."""

    kind: Kind | Literal["distribution"]
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


_Distribution = tuple[Origin, str, list[tuple[Kind, EntryPoint]]]
"""A distribution: its origin, why its plugins cannot be used or '', and their entry points."""

_Places = tuple[tuple[str, int], ...]


def names(kind: Kind) -> tuple[str, ...]:
    """The names of all plugins of a kind, sorted, without those whose metadata show a fault."""
    return tuple(entry.origin.name for entry in installed() if entry.kind == kind and not entry.fault)


def offers(kind: Kind, name: str) -> bool:
    """Whether some distribution offers a plugin of that name, usable or not."""
    return any((entry.kind, entry.origin.name) == (kind, name) for entry in installed())


def broken() -> list[Broken]:
    """What cannot be used, as far as metadata show; a plugin that fails when it is imported is not among them."""
    return damaged() + [Broken(entry.kind, entry.origin, entry.fault) for entry in installed() if entry.fault]


def damaged() -> list[Broken]:
    """The distributions whose entry points cannot be read: which plugins they offer is not known."""
    return [Broken("distribution", whole, fault) for whole, fault, points in _distributions() if not points]


def blocking_metadata() -> StorageError | None:
    """The error for metadata that nobody can read: torch and pydantic read all of them and cannot be imported then."""
    try:
        entry_points()
    except Exception:  # it raises nearly anything
        hint = "remove or reinstall that distribution: torch and other libraries cannot be imported with it"
        return StorageError("; ".join(map(str, damaged())) or "metadata of a distribution cannot be read", hint)
    return None


def installed() -> list[Entry]:
    """The entry points of all installed distributions, sorted by kind and name."""
    tops = {point.module.partition(".")[0] for _, _, points in _distributions() for _, point in points}
    return list(_entries(_places(), frozenset(top for top in tops if plugin_code.find(top) is None)))


@lru_cache(maxsize=1)  # one command asks dozens of times
def _entries(places: _Places, lost: frozenset[str]) -> tuple[Entry, ...]:
    """As ``installed``, from the import path and the top-level modules that are not found."""
    named: dict[tuple[Kind, str], list[Entry]] = defaultdict(list)
    for whole, fault, points in _read_distributions(places):
        for kind, point in points:
            origin = replace(whole, name=point.name, module=point.module)
            named[kind, point.name].append(Entry(kind, origin, point, fault or _fault(origin, lost)))
    found = [entry for same in named.values() for entry in _without_clashes(same)]
    order = list(GROUPS)
    return tuple(sorted(found, key=lambda entry: (order.index(entry.kind), entry.origin.name, str(entry.origin))))


def other_kind(kind: Kind, name: str) -> PluginError | None:
    """The error for a name that only plugins of other kinds have; None if there are none."""
    others = " and ".join(entry.kind for entry in installed() if entry.origin.name == name)
    reason = f"no {kind} named {name!r}: the plugin of that name is of kind {others}"
    return PluginError(reason, f"`harness plugins show {name}` describes it") if others else None


def canonical(distribution: str) -> str:
    """A distribution's name in the form that is compared: upper case, dots and underscores make no difference."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _distributions() -> list[_Distribution]:
    """Distributions that offer plugins or may do so; read again when something is installed or removed."""
    return _read_distributions(_places())


def _places() -> _Places:
    """The import path, with when each folder last got or lost an entry."""
    return tuple((place, _modified(place)) for place in sys.path)


def _modified(place: str) -> int:
    """When a folder of the import path last got or lost an entry; 0 if it is not there."""
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1)
def _read_distributions(places: _Places) -> list[_Distribution]:
    return list(_without_copies(Path(place) for place, _ in places))


def _without_copies(places: Iterable[Path]) -> Iterator[_Distribution]:
    """Of a distribution that is installed twice (editable, or below a virtual environment) the first counts."""
    seen: set[str] = set()
    for folder in _metadata_folders(places):
        try:
            points, fault = _points(Distribution.at(folder)), ""
        except Exception as error:  # it raises nearly anything
            points, fault = [], f"has damaged metadata: entry_points.txt cannot be read: {describe_error(error)[:200]}"
        if points or fault:
            whole, doubt = _identity(folder)
            if canonical(whole.distribution) not in seen:
                yield whole, fault or doubt, points
            seen.add(canonical(whole.distribution))


def _metadata_folders(places: Iterable[Path]) -> Iterator[Path]:
    """Where installers leave the metadata of distributions, in the order of the import path."""
    for place in places:
        with suppress(OSError):  # not there, or a zip archive
            yield from sorted(path for path in place.iterdir() if path.suffix in (".dist-info", ".egg-info"))


def _points(dist: Distribution) -> list[tuple[Kind, EntryPoint]]:
    """The entry points of our groups; raises nearly anything if one names no module, or if they cannot be read."""
    found = dist.entry_points
    return [(kind, point) for kind, group in GROUPS.items() for point in found.select(group=group) if point.module]


def _identity(folder: Path) -> tuple[Origin, str]:
    """A distribution by its metadata and ''; by its folder's name if they are damaged, and what is wrong."""
    with suppress(Exception):  # importlib.metadata raises nearly anything
        dist = Distribution.at(folder)
        stated = f"{dist.metadata['Name'] or ''} {dist.version or ''}"
        if re.fullmatch(r"[\w.-]+ [\w.!+-]+", stated, re.ASCII):
            return Origin("", "", *stated.split()), ""
    name, version, *_ = [*folder.stem.split("-"), ""]
    return Origin("", "", name, version), "has damaged metadata: it states no name and version"


def _fault(origin: Origin, lost: Collection[str]) -> str:
    if not NAME.fullmatch(origin.name):
        return "has a name that is not lower case letters, digits, '_' and '-'"
    top = origin.module.partition(".")[0]
    return "" if top not in lost else f"failed to import: No module named {top!r}"


def _without_clashes(same: list[Entry]) -> list[Entry]:
    """Entries of one kind and name: only the harness's own is valid, so no package can replace it; else none is."""
    own = [entry for entry in same if entry.origin.distribution == OWN]
    valid, found = own or (same if len(same) == 1 else []), []
    for entry in same:
        others = ", ".join(str(other.origin) for other in (own or same) if other is not entry)
        clash = f"offers the {entry.kind} {entry.origin.name!r}, which {others} offers too"
        found.append(entry if entry in valid or entry.fault else replace(entry, fault=clash))
    return found
