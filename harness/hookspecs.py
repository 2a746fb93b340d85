"""The hooks of the harness. A plugin is a module that implements some of them; see ``harness.registry`` for loading.

Every hook starts with ``harness_``; a misspelt one is reported, with the plugin that holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    from harness.method import Method

PROJECT = "harness"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """Offers one method under a name."""

    def __call__(self, name: str, method: type[Method]) -> None:
        """Register ``method``; names are lower case with underscores and stand in commands and leaderboards."""


@hookspec
def harness_register_methods(register: Register) -> None:
    """Offer methods: call ``register(name, class)`` once for each.

    Called once per process, when the plugin is first wanted. An exception makes this plugin unusable and is shown by
    ``harness plugins``; other plugins are not affected. The return value is ignored.
    """
