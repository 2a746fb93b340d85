"""The executors: here, in worker processes, or every job isolated in a separate process.

All three take jobs, a function that makes the worker, limits and groups, and yield results as jobs end.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from typing import Protocol

from harness.errors import describe_error
from harness.execution.jobs import JobFailure, JobResult, JobType, Limits, MakeWorker
from harness.execution.supervisor import supervise

NO_LIMITS = Limits()


class Executor(Protocol):
    """The signature of every executor."""

    def __call__(
        self,
        jobs: Sequence[JobType],
        make_worker: MakeWorker[JobType],
        limits: Limits = NO_LIMITS,
        groups: Sequence[str] | None = None,
    ) -> Iterator[JobResult]:
        """Run jobs. Jobs of different groups never run in the same process.

        Raises:
            StorageError: processes cannot be started.
        """
        ...


def here(
    jobs: Sequence[JobType],
    make_worker: MakeWorker[JobType],
    limits: Limits = NO_LIMITS,
    groups: Sequence[str] | None = None,
) -> Iterator[JobResult]:
    """Run jobs in this process, one after the other; no limit can be enforced, and groups are not kept apart."""
    worker = make_worker()
    for number in range(len(jobs)):
        try:
            value: bytes | JobFailure = worker(jobs[number])
        except Exception as error:
            value = JobFailure("raised", f"raised {describe_error(error)}", traceback.format_exc())
        yield JobResult(number, value)


def processes(
    jobs: Sequence[JobType],
    make_worker: MakeWorker[JobType],
    limits: Limits = NO_LIMITS,
    groups: Sequence[str] | None = None,
) -> Iterator[JobResult]:
    """Run jobs in worker processes, each of which runs one job after the other.

    A job whose process is killed is run again when all others are done, alone: perhaps memory ran out because of
    others. If its process is killed again, the job fails.
    """
    return supervise(jobs, make_worker, limits, groups, isolated=False)


def isolated(
    jobs: Sequence[JobType],
    make_worker: MakeWorker[JobType],
    limits: Limits = NO_LIMITS,
    groups: Sequence[str] | None = None,
) -> Iterator[JobResult]:
    """Run every job in a new process, which ends with it, and capture what it prints.

    Memory is watched rather than limited by the system: torch and CUDA reserve address space that they never use, so
    that a limit on it (RLIMIT_AS) would refuse good jobs. A very quick job can exceed its limit for a moment.
    """
    return supervise(jobs, make_worker, limits, groups, isolated=True)
