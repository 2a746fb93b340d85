"""Worker processes of this machine; ``worker_process.py`` holds each to its limits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection, wait

import cloudpickle  # pickles classes of a script or notebook by value: other processes cannot import them

from harness.execution.jobs import JobFailure, JobResult, JobType, Limits, MakeWorker
from harness.execution.worker_process import POLL_SECONDS, WorkerProcess


def pickled_workers(make_worker: MakeWorker[JobType], devices: Sequence[str]) -> dict[str, bytes]:
    """Device -> what makes the worker of a process there, pickled."""
    return {device: cloudpickle.dumps(partial(make_worker, device)) for device in devices}


class LocalPool:
    """Worker processes, each of which runs one job after the other, or one if they are isolated.

    Args:
        make_worker: device -> what makes the worker, pickled.
        limits: how many processes, on which devices, and what a job may use.
    """

    def __init__(self, make_worker: dict[str, bytes], limits: Limits) -> None:
        self._make_worker, self._limits = make_worker, limits
        self._workers: dict[WorkerProcess, str] = {}  # -> its device

    @property
    def slots(self) -> int:
        """The number of processes."""
        return self._limits.workers

    @property
    def _busy(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.number is not None]

    def take(self, number: int, job: bytes, group: str) -> None:
        """Give a job to an idle worker of its group; a new one takes the place of an idle one of another group."""
        idle = [worker for worker in self._workers if worker.number is None]
        chosen = next((worker for worker in idle if worker.group == group), None)
        if chosen is None:
            if len(self._workers) >= self.slots:
                self._end(idle[0])
            device = self._free_device()
            chosen = WorkerProcess(self._make_worker[device], self._limits, group, captured=self._limits.isolated)
            self._workers[chosen] = device
        chosen.take(number, job)

    def _free_device(self) -> str:
        """The device with the fewest workers."""
        used = Counter(self._workers.values())
        return min(self._limits.devices, key=lambda device: used[device])

    def finished(self, most: float = math.inf, wake: Connection | None = None) -> list[JobResult]:
        """The jobs that ended; waits until there are some or, with limits, for a moment.

        Args:
            most: seconds to wait at most.
            wake: waiting also ends when it has something to read.
        """
        limits = self._limits
        unlimited = limits.seconds == limits.memory == limits.processes == math.inf and not limits.isolated
        busy = self._busy
        sources = [source for worker in busy for source in worker.sources]
        timeout = min(most, math.inf if unlimited else POLL_SECONDS)
        sources += [] if wake is None else [wake]
        ready = wait(sources, None if timeout == math.inf else timeout) if sources else []  # type: ignore[arg-type]
        looked = [(worker, worker.look(ready)) for worker in busy]
        return [self._finish(worker, value) for worker, value in looked if value is not None]

    def _finish(self, worker: WorkerProcess, value: bytes | JobFailure) -> JobResult:
        number, worker.number, log, device = worker.number, None, b"", self._workers[worker]
        assert number is not None
        if self._limits.isolated or (isinstance(value, JobFailure) and value.kind != "raised"):
            log = self._end(worker)
        place = device if len(self._limits.devices) > 1 else ""
        return JobResult(number, value, log, worker.isolation, place)

    def _end(self, worker: WorkerProcess) -> bytes:
        del self._workers[worker]
        return worker.end()

    def end(self) -> None:
        """End all processes."""
        for worker in list(self._workers):
            self._end(worker)
