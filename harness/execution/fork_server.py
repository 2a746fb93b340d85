"""How processes are started: as forks of a server that has imported torch once, or else as new interpreters."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from harness.errors import StorageError
from harness.execution.hidden_main import hidden_script
from harness.files import LIMITS_HINT

_running = False

_socket = -1
"""The open file of the server's socket, once that has no name any more."""


def start_server(modules: Sequence[str]) -> None:
    """Start the fork server, if there is none yet; it imports modules while this process continues.

    Raises:
        StorageError: it cannot be started.
    """
    global _running
    forkserver.set_forkserver_preload(["harness.execution.worker_main", *modules])
    # Ctrl-C goes to all processes of a terminal. The server would end amid its imports, with their trace: it inherits
    # that the signal is blocked. The tracker first, which the server needs: starting it unblocks the signal again.
    with _safe_path():
        resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        with _safe_path():
            forkserver.ensure_running()
    except OSError as error:  # a socket's name has about a hundred characters at most
        hint = "set TMPDIR to a folder with a short name, or use --workers 1"
        raise StorageError(f"processes cannot be started: {error}", hint) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _running = True
    _hide_socket()


@contextmanager
def _safe_path() -> Iterator[None]:
    """Let a new interpreter import nothing from the working directory (from Python 3.11 on).

    The server runs ``python -c``, which would look there first: a file ``random.py`` or another checkout of the harness
    would take the place of what this process has imported.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"  # workers get the environment of this process, without it
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _hide_socket() -> None:
    """Remove the name of the server's socket; this process still reaches it, through an open file.

    The server starts processes for everybody who connects, and those would be in no sandbox.
    """
    global _socket
    server: Any = forkserver._forkserver
    address = server._forkserver_address
    if sys.platform != "linux" or address is None or address.startswith("/proc/"):
        return
    if _socket >= 0:  # of a server that ended
        os.close(_socket)
    _socket = os.open(address, os.O_PATH | os.O_CLOEXEC)
    os.unlink(address)  # noqa: PTH108
    server._forkserver_address = f"/proc/self/fd/{_socket}"


def context() -> ForkServerContext | SpawnContext:
    """Forks of the server, where there is one; new interpreters otherwise.

    This process itself is never forked: it may hold threads (torch's), which a fork would inherit broken.
    """
    return multiprocessing.get_context("forkserver") if _running else multiprocessing.get_context("spawn")


def start(process: BaseProcess) -> None:
    """Start a process that does not run the script of this one.

    Raises:
        StorageError: the machine refuses.
    """
    try:
        with hidden_script():
            process.start()
        if _running:
            _hide_socket()  # if the server was started anew
    except ConnectionError:  # nobody listens at the server's socket, or at its pipe, any more
        hint = f"check that this user may run {sys.executable}; or {LIMITS_HINT}"
        raise StorageError("processes cannot be started: the server that starts them ended", hint) from None
    except (OSError, EOFError) as error:
        raise StorageError(f"processes cannot be started: {error}", LIMITS_HINT) from None
