"""Run one command with a time limit, in a new process group that ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

GRACE = 3.0
"""Seconds between the request to end and the kill."""


def run(
    command: Sequence[str], log: IO[bytes], limit: float, environment: Mapping[str, str], folder: Path
) -> int | None:
    """Run a command; its output goes straight to the log, so that it is there whatever happens.

    Args:
        command: the program and its arguments.
        log: file for both output streams.
        limit: seconds after which its whole process group is ended.
        environment: all of its variables.
        folder: where it runs.

    Returns:
        Its exit status; None if it reached the limit.

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        return None
    finally:  # also processes that the command left behind, and also if this process is stopped
        _signal_group(process, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
