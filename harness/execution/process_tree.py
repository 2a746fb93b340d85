"""A process together with all that it started: memory, and how it is ended."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess

import psutil  # type: ignore[import-untyped]


def lead() -> None:
    """Let this process lead a group, so that all it starts can be ended with it, and end when its parent does."""
    os.setsid()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()  # also when it was killed
    for other in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            other.kill()
    os.killpg(0, signal.SIGKILL)


def end(process: BaseProcess) -> None:
    """End the leader of a process group, all of its group, and what it started in other groups."""
    started = []
    if process.pid is not None:
        with contextlib.suppress(psutil.Error):
            started = psutil.Process(process.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    for other in started:
        with contextlib.suppress(psutil.Error):
            other.kill()


def resident(pid: int | None) -> int:
    """Bytes of resident memory of a process and everything it started."""
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total
