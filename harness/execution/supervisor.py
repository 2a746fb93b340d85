"""Starts worker processes, hands them jobs one at a time, and collects their results.

One thread watches all processes; ``worker_process.py`` holds each to its limits. A worker has one job at most, so that
the job that killed its process is known.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any

import cloudpickle  # pickles classes of a script or notebook by value: other processes cannot import them

from harness.errors import describe_error
from harness.execution.jobs import JobFailure, JobResult, JobType, Limits, MakeWorker
from harness.execution.worker_process import POLL_SECONDS, WorkerProcess


def supervise(
    jobs: Sequence[JobType],
    make_worker: MakeWorker[JobType],
    limits: Limits,
    groups: Sequence[str] | None,
    isolated: bool,
) -> Iterator[JobResult]:
    """Run jobs in processes.

    Args:
        jobs: what to run; each is read when a process is ready for it.
        make_worker: makes the worker in every process.
        limits: how many processes, and what a job may use.
        groups: of each job; a process runs jobs of one group. None puts all into one.
        isolated: every job has a separate process, and what it prints is captured.
    """
    supervisor = _Supervisor(jobs, cloudpickle.dumps(make_worker), limits, groups or [""] * len(jobs), isolated)
    try:
        yield from supervisor.run()
    finally:
        supervisor.end()


class _Supervisor:
    def __init__(
        self, jobs: Sequence[Any], make_worker: bytes, limits: Limits, groups: Sequence[str], isolated: bool
    ) -> None:
        self._jobs, self._make_worker, self._limits, self._isolated = jobs, make_worker, limits, isolated
        self._groups = groups
        self._todo = deque(range(len(jobs)))
        self._again = deque[int]()  # their process was killed; each is run once more, alone
        self._alone: set[int] = set()
        self._workers: list[WorkerProcess] = []

    @property
    def _busy(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.number is not None]

    def run(self) -> Iterator[JobResult]:
        finished = list[JobResult]()
        while self._todo or self._again or self._busy or finished:
            finished += self._assign()  # before the caller takes its time with what is finished
            yield from finished
            finished = self._look() if self._busy else []

    def _assign(self) -> list[JobResult]:
        """Give jobs to idle workers, and start workers; returns jobs that cannot be handed over."""
        refused = []
        while (number := self._next()) is not None:
            try:
                job = cloudpickle.dumps(self._jobs[number])
            except Exception as error:
                reason = f"cannot be sent to another process: {describe_error(error)}"
                refused.append(JobResult(number, JobFailure("message", reason)))
                continue
            self._worker_for(self._groups[number]).take(number, job)
        return refused

    def _worker_for(self, group: str) -> WorkerProcess:
        """An idle worker of a group; a new one takes the place of an idle one of another group."""
        idle = [worker for worker in self._workers if worker.number is None]
        for worker in idle:
            if worker.group == group:
                return worker
        if len(self._workers) >= self._limits.workers:
            self._workers.remove(idle[0])
            idle[0].end()
        self._workers.append(WorkerProcess(self._make_worker, self._limits, group, captured=self._isolated))
        return self._workers[-1]

    def _next(self) -> int | None:
        """The next job, if there is a worker for it."""
        busy = len(self._busy)
        if self._todo:
            return self._todo.popleft() if busy < self._limits.workers else None
        if self._again and not busy:
            self._alone.add(self._again[0])
            return self._again.popleft()
        return None

    def _look(self) -> list[JobResult]:
        limits = self._limits
        unlimited = limits.seconds == limits.memory == limits.processes == math.inf and not self._isolated
        sources = [source for worker in self._busy for source in worker.sources]
        ready = wait(sources, timeout=None if unlimited else POLL_SECONDS)  # type: ignore[arg-type]
        finished = []
        for worker in self._busy:
            value = worker.look(ready)
            if value is not None:
                finished += self._finish(worker, value)
        return finished

    def _finish(self, worker: WorkerProcess, value: bytes | JobFailure) -> list[JobResult]:
        number, worker.number, log = worker.number, None, b""
        assert number is not None
        failure = value if isinstance(value, JobFailure) else None
        if self._isolated or (failure is not None and failure.kind != "raised"):
            self._workers.remove(worker)
            log = worker.end()
        if failure is not None and failure.kind == "ended" and not self._isolated and number not in self._alone:
            self._again.append(number)
            return []
        return [JobResult(number, value, log, worker.isolation)]

    def end(self) -> None:
        for worker in self._workers:
            worker.end()
