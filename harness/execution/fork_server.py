"""The process that cells' processes are forked from: it has imported torch and open_clip once for all of them.

This module itself imports neither, so that the server's imports run beside those of the process that starts it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading

import psutil  # type: ignore[import-untyped]

from harness.errors import StorageError
from harness.execution.contexts import ForkServer


def start() -> None:
    """Start the fork server, if there is none yet; it goes on importing beside this process's own work."""
    ForkServer().set_forkserver_preload(["harness.execution.pool", "harness.execution.isolated", "open_clip"])
    from multiprocessing import forkserver, resource_tracker

    # Ctrl-C goes to all processes of a terminal. The server would end amid its imports, with their trace: it inherits
    # that the signal is blocked. The tracker first, which the server needs: starting it unblocks the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        forkserver.ensure_running()
    except OSError as error:  # a socket's name has about a hundred characters at most
        hint = "set TMPDIR to a folder with a short name, or use --workers 1"
        raise StorageError(f"processes cannot be started: {error}", hint) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def lead_group() -> None:
    """Let this process lead a group, so that all it starts can be ended with it, and end when its parent does."""
    os.setsid()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()  # also when it was killed
    os.killpg(0, signal.SIGKILL)


def end(process: multiprocessing.process.BaseProcess) -> None:
    """End a process that leads a group, all of its group, and what it started in groups of their own."""
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
