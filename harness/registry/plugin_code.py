"""Identifies the code that a plugin's numbers depend on: its distribution's files, and its requirements.

Every cell records both, so that an edited or upgraded method never reuses older results.
"""

from __future__ import annotations

import importlib.util
import json
import pkgutil
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from harness.errors import PluginError, one_line
from harness.files import content_digest, read_file, walk_files

LIMIT = 2**30
"""Maximum size of a distribution's modules in bytes: all are read in every run, as file times are unreliable."""

HARNESS = "harness"
"""The harness's own package. It is not a plugin's code: the versions of a cell hold its digest."""


def find(module: str) -> ModuleSpec | None:
    """The spec of a module, without importing its parent packages as ``importlib.util.find_spec`` does."""
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


def package_of(module: str) -> str:
    """The top-level package of a plugin's module; inside the harness its subpackage, which is the plugin's own code."""
    top, *inner = module.split(".")
    return ".".join((top, *inner[:1])) if top == HARNESS else top


def places(module: str) -> tuple[Path, ...]:
    """The folders or the file that a plugin's module is imported from, with its packages; none if it is not found."""
    spec = find(module.partition(".")[0])
    if spec is None:
        return ()
    found = spec.submodule_search_locations or ([spec.origin] if spec.origin else [])
    return tuple(map(Path, found))


@cache
def code_digest(module: str, distribution: str) -> str:
    """sha256 over the modules and packages of a distribution with their data files, without importing any.

    It is the same in an editable and in a regular installation, unless that omits files. Hidden files and
    compiled caches do not count.

    Args:
        module: one package as ``package_of`` gives it; the only known one of a distribution without a record.
        distribution: its name.

    Raises:
        PluginError: the module's code cannot be read, or is more than ``LIMIT``.
    """
    dist = _found(distribution)
    try:
        inside = module.partition(".")[0] == HARNESS  # the rest of the harness is in the cell's versions
        tops = {module} if inside else {module, *(_tops(dist) if dist else ())} - {HARNESS}
        files = {top: dict(_files(top, dist)) for top in tops}
        if not files.get(module):
            raise PluginError(f"has code that cannot be read, so edits would go unnoticed: no file of {module!r}")
        size = sum(path.stat().st_size for named in files.values() for path in named.values())
        if size > LIMIT:
            raise PluginError(
                f"has packages of {size / 2**30:.1f} GiB, and at most {LIMIT / 2**30:.0f} GiB is read at every run: "
                "large files belong outside of them"
            )
        return content_digest(pair for top in sorted(files) for pair in sorted(files[top].items()))
    except OSError as error:
        raise PluginError(f"has code that cannot be read, so edits would go unnoticed: {one_line(error)}") from None


@cache
def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Name -> version of those of some distributions that are installed.

    What was installed from a folder is edited without a new version, so the digest of its code is appended, or
    ``unread``.
    """
    found = {}
    for dist in filter(None, map(_found, names)):
        name = dist.metadata["Name"]
        found[name] = dist.version
        if "dir_info" in _origin(dist):
            try:
                found[name] += f"+{code_digest(min(_tops(dist), default=''), name)[:12]}"
            except PluginError:
                found[name] += "+unread"
    return found


def requirements(distribution: str) -> dict[str, str]:
    """``versions`` of what a distribution itself declares to need, as far as it is installed; extras are left out."""
    dist = _found(distribution)
    lines = (dist.requires or []) if dist else []
    names = [
        re.split(r"[^\w.-]", line.strip(), maxsplit=1)[0] for line in lines if not re.search(r";.*\bextra\b", line)
    ]
    return versions(tuple(sorted(names)))


def _found(name: str) -> Distribution | None:
    """An installed distribution; None also for one whose record is damaged."""
    try:
        dist = metadata.distribution(name)
        return dist if dist.metadata["Name"] and dist.version else None
    except Exception:  # importlib.metadata raises nearly anything on a damaged record
        return None


def _origin(dist: Distribution) -> dict[str, Any]:
    """Its source, if it was not installed from an index (PEP 610)."""
    try:
        return dict(json.loads(dist.read_text("direct_url.json") or "{}"))
    except (OSError, ValueError):
        return {}


def _tops(dist: Distribution) -> set[str]:
    """The top-level modules and packages of a distribution.

    setuptools lists them; otherwise they are seen in the recorded files, and of an editable installation in the folders
    that it puts on the path.
    """
    listed = (dist.read_text("top_level.txt") or "").split()
    if listed:
        return set(listed)
    tops = set()
    for file in dist.files or ():
        path = Path(str(dist.locate_file(file)))
        if file.suffix == ".pth" and path.is_file():
            folders = [line for line in read_file(path).decode(errors="replace").splitlines() if Path(line).is_dir()]
            tops |= {module.name for module in pkgutil.iter_modules(folders)}
        else:
            tops.add(file.parts[0].partition(".")[0] if len(file.parts) == 1 else file.parts[0])
    return {top for top in tops if top.isidentifier() and top != "__pycache__"}


def _files(top: str, dist: Distribution | None) -> Iterator[tuple[str, Path]]:
    """The files of a top-level module or package, each by its name from there."""
    spec = find(top)
    if spec is None:
        return
    if spec.submodule_search_locations is None:
        if spec.has_location and spec.origin:
            yield Path(spec.origin).name, Path(spec.origin)
        return
    # Several distributions share a namespace package, and one folder if they are installed regularly.
    recorded = [file for file in (dist.files or () if dist else ()) if file.parts[0] == top]
    if spec.origin is None and recorded and dist is not None:
        yield from _recorded(dist, recorded)
        return
    for location in spec.submodule_search_locations:
        for name, path in walk_files(Path(location)):
            yield f"{top}/{name}", path


def _recorded(dist: Distribution, files: Iterable[metadata.PackagePath]) -> Iterator[tuple[str, Path]]:
    """The recorded files that exist; from Python 3.13 on, records omit the others."""
    for file in files:
        path = Path(str(dist.locate_file(file)))
        if path.exists() and "__pycache__" not in file.parts and not any(part.startswith(".") for part in file.parts):
            yield file.as_posix(), path
