"""Identifies the code that a plugin's numbers depend on: its distribution's files, and its requirements.

Every cell records both, so that an edited or upgraded method never reuses older results.
"""

from __future__ import annotations

import importlib.util
import json
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from harness.errors import PluginError, one_line
from harness.files import content_digest, read_file, walk_files

HARNESS = "harness"
"""The harness's own package. It is not a plugin's code: the versions of a cell hold its digest."""


def find(module: str) -> ModuleSpec | None:
    """The spec of a top-level module, or of one in a package that is imported already; None if there is none."""
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError, OSError):  # a module without a spec, or a broken finder
        return None


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
        PluginError: the module's code cannot be read.
    """
    dist = _found(distribution)
    inside = module.partition(".")[0] == HARNESS  # the rest of the harness is in the cell's versions
    try:
        tops = {module} if inside else {module, *(_tops(dist) if dist else ())} - {HARNESS}
        files = {top: sorted(_files(top, dist)) for top in tops}
        if not files.get(module):
            raise PluginError(f"has code that cannot be read, so edits would go unnoticed: no file of {module!r}")
        return content_digest(pair for top in sorted(files) for pair in files[top])
    except OSError as error:
        raise PluginError(f"has code that cannot be read, so edits would go unnoticed: {one_line(error)}") from None


@cache
def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Name -> version of those of some distributions that are installed.

    What was installed from a folder is edited without a new version, so the digest of its code is appended, or
    ``unread``.
    """
    found = {}
    for name, version, dist in filter(None, map(_installed, names)):
        found[name] = version
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
    needed = [line for line in lines if not re.search(r";.*\bextra\b", line)]
    return versions(tuple(sorted(re.split(r"[^\w.-]", line.strip(), maxsplit=1)[0] for line in needed)))


def _found(name: str) -> Distribution | None:
    """An installed distribution; None also for one whose record is damaged."""
    installed = _installed(name)
    return installed[2] if installed else None


def _installed(name: str) -> tuple[str, str, Distribution] | None:
    """Name, version and the rest of an installed distribution; None also for one whose record is damaged."""
    try:
        dist = metadata.distribution(name)
        about = dist.metadata  # is parsed at every access
        return (about["Name"], about["Version"], dist) if about["Name"] and about["Version"] else None
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
    recorded = [file for file in (dist and dist.files) or () if file.parts[0] == top] if spec.origin is None else []
    for file in recorded:
        path = Path(str(file.locate()))
        hidden = any(part.startswith(".") or part == "__pycache__" for part in file.parts)
        if path.exists() and not hidden:  # from Python 3.13 on, records omit those that are gone
            yield file.as_posix(), path
    for location in () if recorded else spec.submodule_search_locations:
        for name, path in walk_files(Path(location)):
            yield f"{top}/{name}", path
