"""Runs jobs on one node of a cluster, in worker processes as on a single machine; it knows no engine."""

from __future__ import annotations

import multiprocessing
import pickle
import time
from queue import SimpleQueue
from typing import NamedTuple

from harness.errors import HarnessError, one_line
from harness.execution.executors import PrepareNode
from harness.execution.jobs import JobResult, Limits
from harness.execution.local_pool import LocalPool


class NodeSetup(NamedTuple):
    """What a node needs to run jobs.

    Attributes:
        prepare: checks the node.
        make_worker: device -> what makes the worker, pickled.
        limits: of the processes on this node.
    """

    prepare: PrepareNode
    make_worker: dict[str, bytes]
    limits: Limits


class Refusal(NamedTuple):
    """Why a node cannot run jobs."""

    reason: str
    hint: str


class NodeAgent:
    """Holds the worker processes of a node. ``put`` may be called while another thread is in ``work``."""

    def __init__(self) -> None:
        self._pool: LocalPool | None = None
        self._jobs = SimpleQueue[tuple[int, bytes, str]]()
        self._waked, self._wake = multiprocessing.Pipe(duplex=False)

    def open(self, setup: bytes) -> Refusal | None:
        """Get ready for jobs of one kind.

        Args:
            setup: a pickled ``NodeSetup``.

        Returns:
            None, or why the node cannot run them.
        """
        try:
            found: NodeSetup = pickle.loads(setup)
            self._pool = LocalPool(found.make_worker, found.prepare(found.limits))
        except HarnessError as error:
            return Refusal(error.message, error.hint or "")
        except Exception as error:  # another version of the harness may lack what is pickled
            return Refusal(f"it cannot be set up: {one_line(error)}", "install the same environment on every node")
        return None

    def put(self, number: int, job: bytes, group: str) -> None:
        """Take a job; there is a free process."""
        self._jobs.put((number, job, group))
        self._wake.send_bytes(b"\0")

    def work(self, seconds: float) -> list[JobResult]:
        """Run the jobs that were put; returns those that ended as soon as there are some, or after some seconds."""
        assert self._pool is not None, "it was opened"
        end, finished = time.monotonic() + seconds, list[JobResult]()
        while not finished and (left := end - time.monotonic()) > 0:
            while self._waked.poll():
                self._waked.recv_bytes()
                self._pool.take(*self._jobs.get())
            finished = self._pool.finished(left, self._waked)
        return finished
