"""Finds out which sandbox this machine gives, by entering it."""

from __future__ import annotations

from collections.abc import Callable

from harness.execution import fork_server
from harness.execution.executors import isolated
from harness.execution.jobs import Limits
from harness.execution.sandbox import Sandbox

TRIAL_SECONDS = 60.0


def isolation(strict: bool) -> str:
    """What is in force in a sandbox, as ``confinement.enter`` names it.

    Raises:
        StorageError: processes cannot be started.
    """
    fork_server.start_server(())
    (result,) = isolated([b""], _make, Limits(1, TRIAL_SECONDS, sandbox=Sandbox(strict=strict)))
    return result.isolation


def _make(device: str) -> Callable[[bytes], bytes]:
    return bytes
