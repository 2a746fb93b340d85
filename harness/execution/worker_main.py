"""What a worker process does: make the worker, then run jobs until the supervisor ends it."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Collection
from multiprocessing.connection import Connection
from typing import Any

from harness.errors import HarnessError, describe_error
from harness.execution.global_state import preserve_global_state
from harness.execution.jobs import SharedMemoryError
from harness.execution.messages import DONE, ENDED, FAILED, ISOLATION, READY, receive, send
from harness.execution.process_tree import lead

Enter = Callable[[Collection[int]], str]

NO_SANDBOX = "process"
"""What holds a process without a sandbox."""


def main(
    channel: socket.socket,
    output: Connection | None,
    make_worker: bytes,
    environment: dict[str, str],
    enter: Enter | None,
) -> None:
    """Answer every job on the channel.

    Args:
        channel: where jobs and results go.
        output: what is printed goes there, if it is given.
        make_worker: makes the worker, pickled.
        environment: the variables.
        enter: enters the sandbox, and returns what is in force; gets the numbers of the open files to keep.
    """
    os.environ.clear()  # what it is forked from has that of an earlier time
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    multiprocessing.set_start_method(None, force=True)  # what jobs start is started in Python's own default way
    if output is not None:
        _print_into(output)
    try:
        lead(guarded=enter is not None)
        isolation = enter([channel.fileno()]) if enter is not None else NO_SANDBOX
        send(channel, ISOLATION, isolation.encode())  # before foreign code can send anything
        worker = unpickled(make_worker)()
    except HarnessError as error:
        send(channel, FAILED, error.message.encode())
        return
    except BaseException as error:
        send(channel, FAILED, b"the process cannot be set up: it " + _raised(error))
        return
    send(channel, READY)
    while (message := receive(channel)) is not None:
        try:
            kind, content = DONE, worker(unpickled(message.content))
        except SharedMemoryError as error:
            kind, content = ENDED, _raised(error.__cause__ or error)
        except BaseException as error:  # foreign code may even call sys.exit
            kind, content = FAILED, _raised(error)
        send(channel, kind, content)


def unpickled(content: bytes) -> Any:
    """Unpickle, which imports plugins; all that is shared in the process is afterwards as it was."""
    with preserve_global_state():
        return pickle.loads(content)


def _print_into(output: Connection) -> None:
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    output.close()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # so the last lines before a crash arrive
    faulthandler.enable()


def _raised(error: BaseException) -> bytes:
    reason = f"raised {describe_error(error)}"
    return f"{reason}\n{traceback.format_exc()}".encode(errors="backslashreplace")
