"""A process together with all that it started: memory, and how it is ended."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import resource
import signal
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil  # type: ignore[import-untyped]

_SHARED_MEMORY = Path("/dev/shm")

GENTLE_SECONDS = 10.0
"""The guardian of a process ends all that the process left within this time."""


def lead(guarded: bool) -> None:
    """Let this process lead a group, so that all it starts can be ended with it, and end when its parent does.

    Args:
        guarded: it will have a guardian, which watches the parent.
    """
    os.setsid()
    parent = multiprocessing.parent_process()
    if parent is not None and not guarded:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()  # also when it was killed
    _kill(descendants(os.getpid()))
    os.killpg(0, signal.SIGKILL)


def end(process: BaseProcess, guarded: bool) -> None:
    """End the leader of a process group, all of its group, and what it started in other groups.

    Args:
        process: the leader.
        guarded: it is a guardian, which ends what it guards when it is asked to.
    """
    if guarded:
        process.terminate()
        process.join(GENTLE_SECONDS)
    started = descendants(process.pid)
    if process.pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    _kill(started)


def descendants(pid: int | None) -> list[int]:
    """What a process started and what those started, by id, nearest first."""
    with contextlib.suppress(psutil.Error):
        return [process.pid for process in psutil.Process(pid).children(recursive=True)]
    return []


def limit_tasks(tasks: float, counted: bool) -> None:
    """Let this process and all that it starts have no more processes and threads than a number.

    The kernel limits no processes of root.

    Args:
        tasks: the number, beyond those that this user has now.
        counted: the kernel counts all processes of this user, rather than those of a namespace.
    """
    if tasks < math.inf:
        now = 0
        for process in psutil.process_iter(["uids", "num_threads"]) if counted else ():
            if process.info["uids"] is not None and process.info["uids"].real == os.getuid():
                now += process.info["num_threads"] or 0
        _, highest = resource.getrlimit(resource.RLIMIT_NPROC)
        number = now + int(tasks)
        number = number if highest == resource.RLIM_INFINITY else min(number, highest)
        resource.setrlimit(resource.RLIMIT_NPROC, (number, number))


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def uses_more_than(memory: float, pids: list[int]) -> bool:
    """Whether processes use more bytes of memory than a number.

    What they share counts once, as proportional set size (PSS), where the system has it; files in a /dev/shm of their
    own count as well. Measuring that takes 20 ms for a process that has loaded torch; it is done only if the sum of
    their resident memory, which is never less, is above the number.
    """
    files = _own_files(pids)
    if sum(map(_resident, pids)) + files <= memory:
        return False
    sizes = [_proportional(pid) for pid in pids]
    mapped = sum(shared for _, shared in sizes)
    return sum(own for own, _ in sizes) + max(mapped, files) > memory


def _resident(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def _proportional(pid: int) -> tuple[int, int]:
    """Bytes of a process's memory, but for shared memory, and those of shared memory."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {name: int(size.split()[0]) * 1024 for name, _, size in (line.partition(":") for line in lines)}
        return sizes["Pss"] - sizes.get("Pss_Shmem", 0), sizes.get("Pss_Shmem", 0)
    except (OSError, LookupError):  # not Linux, or the process hides it: shared memory counts in full
        return _resident(pid), 0


def _own_files(pids: list[int]) -> int:
    """Bytes of the files in a /dev/shm that is not the machine's."""
    with contextlib.suppress(OSError):
        common = _SHARED_MEMORY.stat().st_dev
        for pid in pids:
            own = Path(f"/proc/{pid}/root{_SHARED_MEMORY}")
            with contextlib.suppress(OSError):
                if own.stat().st_dev != common:
                    found = os.statvfs(own)
                    return (found.f_blocks - found.f_bfree) * found.f_frsize
    return 0
