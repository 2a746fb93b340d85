"""The executors: here, in worker processes of this machine, or on the nodes of a cluster.

All take jobs, a function that makes the worker, limits and groups, and yield results as jobs end. One that needs a
connection is opened first, with ``ExecutorSettings``; ``built_in`` has those that the harness brings.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

from harness.errors import describe_error
from harness.execution.jobs import JobFailure, JobResult, JobType, Limits, MakeWorker
from harness.execution.local_pool import LocalPool, pickled_workers
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
    workers = {device: make_worker(device) for device in limits.devices}
    for number in range(len(jobs)):
        device = limits.devices[number % len(limits.devices)]
        try:
            value: bytes | JobFailure = workers[device](jobs[number])
        except Exception as error:
            value = JobFailure("raised", f"raised {describe_error(error)}", traceback.format_exc())
        yield JobResult(number, value, place=device if len(limits.devices) > 1 else "")


def processes(
    jobs: Sequence[JobType],
    make_worker: MakeWorker[JobType],
    limits: Limits = NO_LIMITS,
    groups: Sequence[str] | None = None,
) -> Iterator[JobResult]:
    """Run jobs in worker processes, each of which runs one job after the other, or one if limits say ``isolated``.

    A job whose process is killed is run again when all others are done, alone: perhaps memory ran out because of
    others. If its process is killed again, the job fails. An isolated one is not run again.
    """
    pool = LocalPool(pickled_workers(make_worker, limits.devices), limits)
    return supervise(pool, jobs, groups, alone=not limits.isolated)


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
    return processes(jobs, make_worker, replace(limits, isolated=True), groups)


def in_order(results: Iterator[JobResult]) -> Iterator[JobResult]:
    """Results in the order of their jobs; the executor ends with the iterator."""
    early, following = dict[int, JobResult](), 0
    with closing(results) if isinstance(results, Generator) else nullcontext():
        for result in results:
            early[result.number] = result
            while following in early:
                yield early.pop(following)
                following += 1


PrepareNode = Callable[[Limits], Limits]
"""Checks that a node of a cluster can run jobs, and returns the limits there, which hide its own folders as well.

It is called in a process of every node, and raises HarnessError if the node cannot be used.
"""


@dataclass(frozen=True)
class ExecutorSettings:
    """What an executor is opened with.

    Attributes:
        prepare: of every node.
        address: of the cluster; None is the one that this machine is part of, if there is one.
        workers: processes on this machine.
        note: shows a sentence to the user, such as one about a node that was lost.
    """

    prepare: PrepareNode
    address: str | None = None
    workers: int = 1
    note: Callable[[str], None] = lambda text: None


OpenExecutor = Callable[[ExecutorSettings], AbstractContextManager[Executor]]
"""Connects to a cluster, and ends what it started there when the block ends; raises HarnessError if it cannot."""
