"""Hands jobs to a pool as it has room for them, runs those again whose process or machine was lost, and yields results.

It is the same loop for every pool. A worker has one job at most, so that the job that killed its process is known.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import cloudpickle

from harness.errors import describe_error
from harness.execution.jobs import JobFailure, JobResult, JobType
from harness.execution.pool import Pool

ATTEMPTS = 3
"""How often a job is run whose machine is lost."""


def supervise(
    pool: Pool, jobs: Sequence[JobType], groups: Sequence[str] | None, alone: bool = True
) -> Iterator[JobResult]:
    """Run jobs in a pool, which ends with them.

    Args:
        pool: where they run.
        jobs: what to run; each is read when the pool has room for it.
        groups: of each job; a process runs jobs of one group. None puts all into one.
        alone: a job whose process was killed is run once more, alone.
    """
    try:
        yield from _Supervisor(pool, jobs, groups or [""] * len(jobs), alone).run()
    finally:
        pool.end()


class _Supervisor:
    def __init__(self, pool: Pool, jobs: Sequence[Any], groups: Sequence[str], alone: bool) -> None:
        self._pool, self._jobs, self._groups = pool, jobs, groups
        self._todo = deque(range(len(jobs)))
        self._again = deque[int]()  # their process was killed; each is run once more, when nothing else runs
        self._may_run_again = set(self._todo) if alone else set[int]()
        self._lost = Counter[int]()
        self._running = set[int]()

    def run(self) -> Iterator[JobResult]:
        finished = list[JobResult]()
        while self._todo or self._again or self._running or finished:
            finished += self._assign()  # before the caller takes its time with what is finished
            yield from finished
            waits = self._todo or self._again or self._running
            finished = [kept for result in self._pool.finished() if (kept := self._keep(result))] if waits else []

    def _assign(self) -> list[JobResult]:
        """Give jobs to the pool; returns those that cannot be handed over."""
        refused = []
        while (number := self._next()) is not None:
            try:
                job = cloudpickle.dumps(self._jobs[number])
            except Exception as error:
                reason = f"cannot be sent to another process: {describe_error(error)}"
                refused.append(JobResult(number, JobFailure("message", reason)))
                continue
            self._running.add(number)
            self._pool.take(number, job, self._groups[number])
        return refused

    def _next(self) -> int | None:
        """The next job, if there is room for it."""
        if self._todo:
            return self._todo.popleft() if len(self._running) < self._pool.slots else None
        return self._again.popleft() if self._again and not self._running and self._pool.slots else None

    def _keep(self, result: JobResult) -> JobResult | None:
        """A result that counts; None for a job that is run again."""
        number, value = result.number, result.value
        self._running.remove(number)
        kind = value.kind if isinstance(value, JobFailure) else None
        if kind == "ended" and number in self._may_run_again:  # perhaps memory ran out because of others
            self._may_run_again.remove(number)
            self._again.append(number)
            return None
        if kind == "lost":
            self._lost[number] += 1
            if self._lost[number] < ATTEMPTS:
                self._todo.appendleft(number)
                return None
            assert isinstance(value, JobFailure)
            reason = f"was started {ATTEMPTS} times, and {value.reason}"
            return replace(result, value=replace(value, reason=reason))
        return result
