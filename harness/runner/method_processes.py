"""The processes that run methods: each holds plugins of one distribution, so no author's code meets another's."""

from __future__ import annotations

from harness.execution import fork_server

PRELOADED = ("harness.runner.run_cell", "open_clip")
"""Modules that are imported once for all processes."""


def start_server() -> None:
    """Start what processes are forked from, if it is not running; it imports modules while this process continues.

    Raises:
        StorageError: it cannot be started.
    """
    fork_server.start_server(PRELOADED)
