"""How processes are started: as forks of a server that has imported torch once, or else as new interpreters."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

from harness.errors import StorageError
from harness.execution.hidden_main import hidden_script
from harness.files import LIMITS_HINT

_running = False


def start_server(modules: Sequence[str]) -> None:
    """Start the fork server, if there is none yet; it imports modules while this process continues.

    Raises:
        StorageError: it cannot be started.
    """
    global _running
    forkserver.set_forkserver_preload(["harness.execution.worker_main", *modules])
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
    _running = True


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
    except (OSError, EOFError) as error:
        raise StorageError(f"processes cannot be started: {error}", LIMITS_HINT) from None
