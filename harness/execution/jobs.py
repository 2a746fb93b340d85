"""What goes into an executor and what comes out: limits, results and failures of jobs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from harness.execution.sandbox import Sandbox

JobType = TypeVar("JobType")

Worker = Callable[[JobType], bytes]
"""Runs one job."""

MakeWorker = Callable[[str], Worker[JobType]]
"""Makes the worker of a process, given its device, such as ``cpu`` or ``cuda:1``."""

LARGEST_TRACE = 2**16
"""Characters of a trace that are kept."""

FailureKind = Literal["setup", "raised", "ended", "lost", "time", "memory", "processes", "output", "message"]
"""Setup: the process could not make its worker. Ended: its process was killed, or raised ``SharedMemoryError``. Lost:
its machine was, or the connection to it. Message: the job cannot be sent, or an answer is not a result."""


class SharedMemoryError(Exception):
    """Raised by a worker when memory that it shares with other processes ran out: the job is run again, alone."""


@dataclass(frozen=True)
class Limits:
    """What jobs may use.

    Attributes:
        workers: processes at the same time, on one machine.
        seconds: time of one job, without the start of its process.
        memory: bytes of memory of a process and all that it started; what they share counts once.
        processes: a process and all that it started, with those that guard it (one or two).
        sandbox: what a process may touch; None is all that the user may.
        isolated: every job has a separate process, and what it prints is captured.
        devices: of the workers in turn.
    """

    workers: int = 1
    seconds: float = math.inf
    memory: float = math.inf
    processes: float = math.inf
    sandbox: Sandbox | None = None
    isolated: bool = False
    devices: tuple[str, ...] = ("cpu",)


@dataclass(frozen=True)
class JobFailure:
    """Why a job has no result; the reason continues a sentence whose subject is the job: "took longer than ..."."""

    kind: FailureKind
    reason: str
    trace: str = ""


@dataclass(frozen=True)
class JobResult:
    """How one job ended.

    Attributes:
        number: the position of the job among those that were handed over.
        value: the bytes that the worker returned, or why there are none.
        log: what the process printed, where it was captured.
        isolation: what held its process when foreign code began, as in ``confinement.enter``; empty if it did not.
        place: the machine or device that it ran on, where there are several.
    """

    number: int
    value: bytes | JobFailure
    log: bytes = b""
    isolation: str = ""
    place: str = ""


def memory_share(workers: int) -> int:
    """The bytes of memory of one of several processes that share 80 % of the machine's."""
    import psutil  # type: ignore[import-untyped]

    return int(0.8 * psutil.virtual_memory().total / workers)
