"""Plugins: list what installed distributions offer by name, and load what is asked for.

An entry point is one name for one thing. Its group says what kind of thing it is, and its value names the module whose
hook gives it (``harness.hookspecs``). Names, versions and clashes are known from metadata; only ``load`` imports.
"""

from harness.registry.entry_points import Broken, Kind, Origin, broken, installed, names, offers
from harness.registry.plugins import Plugin, find_protocol, load, load_all

__all__ = [
    "Broken",
    "Kind",
    "Origin",
    "Plugin",
    "broken",
    "find_protocol",
    "installed",
    "load",
    "load_all",
    "names",
    "offers",
]
