"""One worker process that is asked again and again, for as long as somebody needs it."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Generic

import cloudpickle

from harness.execution.jobs import JobFailure, JobType, Limits, Worker
from harness.execution.worker_process import WorkerProcess

LOOK_SECONDS = 1.0
"""Time between two looks at its limits."""


class Companion(Generic[JobType]):
    """A process that answers one job at a time while the caller waits.

    Args:
        make_worker: makes the worker in the process.
        limits: what it may use and touch.

    Raises:
        StorageError: the process cannot be started.
    """

    def __init__(self, make_worker: Callable[[], Worker[JobType]], limits: Limits) -> None:
        self._process = WorkerProcess(cloudpickle.dumps(make_worker), limits, "", captured=False)

    def ask(self, job: JobType) -> bytes | JobFailure:
        """The worker's answer, or why there is none; a process that ended gives no further ones."""
        self._process.take(0, cloudpickle.dumps(job))
        while (answer := self._process.look(wait(self._process.sources, LOOK_SECONDS))) is None:  # type: ignore[arg-type]
            pass
        return answer

    def end(self) -> None:
        """End the process with all that it started."""
        self._process.end()
