"""Whether processes run, and wait for their end."""

from __future__ import annotations

import time

import psutil


def runs(pid: int) -> bool:
    """Whether a process exists, and is not a zombie that nobody has asked for its exit code."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(*pids: int) -> bool:
    """Whether processes have ended, or end soon."""
    deadline = time.monotonic() + 20
    while any(map(runs, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
