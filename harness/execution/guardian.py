"""A process that waits for a child with foreign code, ends all that the child leaves, and then ends as the child did.

It runs no foreign code. On Linux all that the child starts stays below it, also in other sessions and with parents
that ended. In a new namespace of processes there are two: the first process there waits as well, because the kernel
ends all others with it, and because it ignores signals that a job must be able to die of.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
from collections.abc import Collection
from multiprocessing.connection import wait
from pathlib import Path
from typing import NoReturn

from harness.execution import landlock, linux
from harness.execution.process_tree import descendants


def guard(folder: Path) -> int:
    """Fork: the child returns, this process closes its files and guards the child until it ends.

    Args:
        folder: of temporary files, which is removed if the parent cannot do it any more.

    Returns:
        The number of an open file, for ``wait_as_first``; a child that has none of its own closes it.
    """
    confined = _confine_signals()
    if linux.is_linux():
        linux.adopt_orphans()
    reader, writer = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: _stop(confined, folder))
    if child := _fork():
        _watch(child, reader, confined, folder)
    os.close(reader)
    return writer


def _watch(child: int, reader: int, confined: bool, folder: Path) -> NoReturn:
    status = _wait_or_stop(child, reader, confined, folder)
    _end_all(confined)
    told = os.read(reader, 8)
    _end_as(int.from_bytes(told, "big") if told else status)


def _wait_or_stop(child: int, reader: int, confined: bool, folder: Path) -> int:
    """Wait for the child; end all if the parent ends first.

    Without a thread: a process whose children enter a new namespace can start none.
    """
    signaled, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    parent = multiprocessing.parent_process()
    sources = [signaled, *(() if parent is None else (parent.sentinel,))]
    close_files({reader, wakeup, *sources})
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == child:
            return status
        if not ended:
            ready = wait(sources)
            if signaled not in ready:
                _stop(confined, folder)
            os.read(signaled, 2**16)


def wait_as_first(writer: int) -> None:
    """Fork in the first process of a namespace: the child returns, this process tells the guardian how it ended."""
    if child := _fork():
        close_files({writer})
        ended = status = 0
        while ended != child:  # others are orphans
            ended, status = os.waitpid(-1, 0)
        os.write(writer, status.to_bytes(8, "big"))
        os._exit(0)


def close_files(kept: Collection[int]) -> None:
    """Close all open files but some and the standard streams."""
    start, stop = 3, max(map(int, os.listdir("/dev/fd"))) + 1  # noqa: PTH208
    for number in sorted(kept):
        os.closerange(start, number)
        start = number + 1
    os.closerange(start, stop)


def _fork() -> int:
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if linux.is_linux():
            linux.end_with_parent(signal.SIGKILL)
    return child


def _confine_signals() -> bool:
    """Keep signals of this process and its descendants among them; False where the kernel does not.

    Asked of the kernel, and tried: "kill all" would otherwise end all processes of this user.
    """
    if not landlock.keep_signals_inside():
        return False
    try:
        os.kill(os.getppid(), 0)
    except PermissionError:
        return True
    return False


def _end_all(confined: bool) -> None:
    """End all descendants: in one step, where signals are confined, so that none can start another meanwhile."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in [-1] if confined else descendants(os.getpid()):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def _stop(confined: bool, folder: Path) -> NoReturn:
    _end_all(confined)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _end_as(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if os.WTERMSIG(status) not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))
