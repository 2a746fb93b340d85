"""Remembers which plugins failed when they were last imported, so that listing can say so without importing them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

from harness.errors import PluginError
from harness.files import cache_root, write_atomic
from harness.registry.entry_points import Broken, Origin, Registry, code_digest

FILE = "plugins.json"


def remember(found: Registry, cache: Path | None = None) -> None:
    """Note what failed now, and forget what works now. A cache that cannot be written is no reason to stop."""
    path = cache_root(cache) / FILE
    before = _read(path)
    works = [entry.source for entry in found.methods.values()] + [source for source, _ in found.observers]
    works += [source for offers in (found.backbones, found.protocols) for _, source in offers.values()]
    after = {key: value for key, value in before.items() if key not in {_key(source) for source in works}}
    failed = [culprit for culprit in found.broken if culprit.reason.startswith("failed to ")]
    after |= {_key(culprit.source): [_code(culprit.source), culprit.reason] for culprit in failed}
    if after != before:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(after, indent=1).encode())


def recall(sources: Iterable[Origin], cache: Path | None = None) -> list[Broken]:
    """The plugins that failed when they were last imported, and whose code is still the same."""
    known = _read(cache_root(cache) / FILE)
    found = []
    for source in sources:
        digest, reason = known.get(_key(source), ("", ""))
        if reason and digest == _code(source):
            found.append(Broken(source, f"{reason} (when it was last imported)"))
    return found


def _code(source: Origin) -> str:
    try:
        return code_digest(source)
    except PluginError:
        return ""  # not there to be read, and so it stays until it is


def _key(source: Origin) -> str:
    return f"{source.name} {source.module} {source.distribution} {source.version}"


def _read(path: Path) -> dict[str, list[str]]:
    try:
        content = json.loads(path.read_bytes())
        return {str(key): [str(value[0]), str(value[1])] for key, value in content.items()}
    except (OSError, ValueError, AttributeError, IndexError, KeyError, TypeError):
        return {}  # not there, or damaged: nothing is remembered
