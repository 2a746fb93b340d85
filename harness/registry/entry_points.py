"""Entry points of installed distributions, read from their metadata: nothing is imported.

``importlib.metadata.entry_points`` and pluggy's loader of a group stop at the first damaged record, and neither names a
distribution whose own metadata are damaged. Here the folder of every distribution is read separately: the folder's name
is known in any case, so a damaged one is reported and does not affect others.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from configparser import ConfigParser
from configparser import Error as InvalidConfig
from contextlib import suppress
from dataclasses import dataclass, replace
from email import message_from_bytes
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Literal

from harness.errors import PluginError, StorageError, one_line, unknown_name
from harness.files import read_file
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

LIMIT = 2**20
"""Maximum size of a file of metadata in bytes; real ones have some thousand."""


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


def names(kind: Kind) -> tuple[str, ...]:
    """The names of all plugins of a kind, sorted, without those whose metadata show a fault."""
    return tuple(entry.origin.name for entry in installed() if entry.kind == kind and not entry.fault)


def offers(kind: Kind, name: str) -> bool:
    """Whether some distribution offers a plugin of that name, usable or not."""
    return kind in kinds_of(name)


def kinds_of(name: str) -> list[Kind]:
    """The kinds of the plugins of that name, usable or not."""
    return [entry.kind for entry in installed() if entry.origin.name == name]


def broken() -> list[Broken]:
    """What cannot be used, as far as metadata show; a plugin that fails to import is not among them."""
    found = damaged()
    for entry in installed():
        missing = not entry.fault and plugin_code.find(entry.origin.module) is None
        fault = f"failed to import: No module named {entry.origin.module!r}" if missing else entry.fault
        found += [Broken(entry.kind, entry.origin, fault)] if fault else []
    return found


def damaged() -> list[Broken]:
    """The distributions whose entry points cannot be read: which plugins they offer is not known."""
    return [Broken("distribution", whole, fault) for whole, fault, points in _records() if not points]


def blocking_metadata() -> StorageError | None:
    """The error for metadata that nobody can read: torch and pydantic read all of them and cannot be imported then."""
    try:
        entry_points()
    except Exception:  # it raises nearly anything
        hint = "remove or reinstall that distribution: torch and other libraries cannot be imported beside it"
        return StorageError("; ".join(map(str, damaged())) or "metadata of a distribution cannot be read", hint)
    return None


def installed() -> list[Entry]:
    """The entry points of all installed distributions, sorted by kind and name."""
    named: dict[tuple[Kind, str], list[Entry]] = defaultdict(list)
    for whole, fault, points in _records():
        for kind, point in points:
            origin = replace(whole, name=point.name, module=_module(point))
            named[kind, point.name].append(Entry(kind, origin, point, fault or _fault(origin)))
    found = [entry for same in named.values() for entry in _without_clashes(same)]
    return sorted(found, key=lambda entry: (list(GROUPS).index(entry.kind), entry.origin.name, str(entry.origin)))


def unknown_plugin(kind: Kind, name: str, known: Iterable[str]) -> PluginError:
    """The error for a name that no plugin of a kind has; it says which other kind has it, or the closest known name."""
    if other := other_kind(kind, name):
        return other
    hint = unknown_name(kind, name, known).hint
    return PluginError(f"no {kind} named {name!r}", "; ".join([str(hint), *map(str, damaged())]))


def other_kind(kind: Kind, name: str) -> PluginError | None:
    """The error for a name that only another kind has; None if no kind has it."""
    from harness.protocols import PROTOCOLS  # here, because listing plugins does not need it

    if others := kinds_of(name):
        reason = f"no {kind} named {name!r}: the plugin of that name is of kind {' and '.join(others)}"
        return PluginError(reason, f"`harness plugins show {name}` describes it")
    if name in PROTOCOLS:
        return PluginError(f"no {kind} named {name!r}: it is a protocol", f"give it with --protocol {name}")
    return None


def canonical(distribution: str) -> str:
    """A distribution's name in the form that is compared: upper case, dots and underscores make no difference."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _records() -> Iterator[tuple[Origin, str, list[tuple[Kind, EntryPoint]]]]:
    """Distributions that offer plugins or may do so: origin, why their plugins cannot be used or '', entry points."""
    seen: set[str] = set()
    for folder in _metadata_folders():
        try:
            points, fault = _points(folder), ""
        except (FileNotFoundError, NotADirectoryError):  # most distributions have no entry points
            continue
        except (OSError, ValueError, InvalidConfig) as error:
            points, fault = [], f"has damaged metadata: entry_points.txt cannot be read: {one_line(error)[:200]}"
        if points or fault:
            whole, doubt = _identity(folder)
            # Of a distribution that is installed twice (editable, or below a virtual environment) the first counts.
            if canonical(whole.distribution) not in seen:
                yield whole, fault or doubt, points
            seen.add(canonical(whole.distribution))


def _metadata_folders() -> Iterator[Path]:
    """Where installers leave the metadata of distributions, in the order of the import path."""
    for place in map(Path, sys.path):
        with suppress(OSError):  # not there, or a zip archive
            yield from sorted(path for path in place.iterdir() if path.suffix in (".dist-info", ".egg-info"))


def _points(folder: Path) -> list[tuple[Kind, EntryPoint]]:
    """The entry points of our groups.

    Raises:
        OSError: the file cannot be read, or is not there.
        UnicodeDecodeError, configparser.Error: it is damaged.
    """
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names keep their case
    parser.read_string(read_file(folder / "entry_points.txt", LIMIT).decode(), "entry_points.txt")
    return [
        (kind, EntryPoint(name, value, group))
        for kind, group in GROUPS.items()
        if parser.has_section(group)
        for name, value in parser.items(group)
    ]


def _identity(folder: Path) -> tuple[Origin, str]:
    """A distribution by its metadata and ''; by its folder's name if they are damaged, and what is wrong."""
    file = "METADATA" if folder.suffix == ".dist-info" else "PKG-INFO"
    with suppress(OSError):
        stated = message_from_bytes(read_file(folder / file, LIMIT))
        found = [str(stated[field]) for field in ("Name", "Version") if stated[field]]
        if len(found) == 2 and all(re.fullmatch(r"[\w.!+-]+", value, re.ASCII) for value in found):
            return Origin("", "", *found), ""
    name, version, *_ = map(one_line, [*folder.stem.split("-"), ""])
    return Origin("", "", name, version), f"has damaged metadata: {file} states no name and version"


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
