"""Plugins: list what installed distributions offer, and load single plugins by name.

An entry point is the name of one plugin. Its group is the kind of plugin, and its value the module whose hook returns
it (``harness.hookspecs``). Names, versions and clashes are known from metadata; only ``load`` imports.
"""

from harness.registry.entry_points import (
    OWN,
    Broken,
    Kind,
    Origin,
    blocking_metadata,
    broken,
    damaged,
    installed,
    names,
    offers,
    other_kind,
)
from harness.registry.loading import Plugin, find, find_protocol, load, load_all

__all__ = [
    "OWN",
    "Broken",
    "Kind",
    "Origin",
    "Plugin",
    "blocking_metadata",
    "broken",
    "damaged",
    "find",
    "find_protocol",
    "installed",
    "load",
    "load_all",
    "names",
    "offers",
    "other_kind",
]
