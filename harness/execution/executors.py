"""The executors: here, in worker processes, or every job isolated in a separate process.

All three take jobs, a function that makes the worker, and limits, and yield results in the order in which jobs end.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from typing import Protocol

from harness.errors import one_line
from harness.execution.jobs import JobFailure, JobResult, JobType, Limits, MakeWorker
from harness.execution.supervisor import supervise

NO_LIMITS = Limits()


class Executor(Protocol):
    """The signature of every executor."""

    def __call__(
        self, jobs: Sequence[JobType], make_worker: MakeWorker[JobType], limits: Limits = NO_LIMITS
    ) -> Iterator[JobResult]:
        """Run jobs.

        Raises:
            StorageError: processes cannot be started.
        """
        ...


def here(jobs: Sequence[JobType], make_worker: MakeWorker[JobType], limits: Limits = NO_LIMITS) -> Iterator[JobResult]:
    """Run jobs in this process, one after the other; no limit can be enforced."""
    worker = make_worker()
    for number, job in enumerate(jobs):
        try:
            value: bytes | JobFailure = worker(job)
        except Exception as error:
            value = JobFailure("raised", f"raised {type(error).__name__}: {one_line(error)}", traceback.format_exc())
        yield JobResult(number, value)


def processes(
    jobs: Sequence[JobType], make_worker: MakeWorker[JobType], limits: Limits = NO_LIMITS
) -> Iterator[JobResult]:
    """Run jobs in worker processes, each of which runs one job after the other.

    A job whose process is killed is run again when all others are done, alone: perhaps memory ran out because of
    others. If its process is killed again, the job fails.
    """
    return supervise(jobs, make_worker, limits, isolated=False)


def isolated(
    jobs: Sequence[JobType], make_worker: MakeWorker[JobType], limits: Limits = NO_LIMITS
) -> Iterator[JobResult]:
    """Run every job in a new process, which ends with it, and capture what it prints.

    Memory is watched rather than limited by the system: torch and CUDA reserve address space that they never use, so
    that a limit on it (RLIMIT_AS) would refuse good jobs. A very quick job can exceed its limit for a moment.
    """
    return supervise(jobs, make_worker, limits, isolated=True)
