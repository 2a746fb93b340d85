"""Where jobs run: the interface of what holds worker processes, on this machine or on others."""

from __future__ import annotations

from typing import Protocol

from harness.execution.jobs import JobResult


class Pool(Protocol):
    """Worker processes that run pickled jobs."""

    @property
    def slots(self) -> int:
        """Jobs that it runs at the same time now; the number may change, for example when a machine joins."""
        ...

    def take(self, number: int, job: bytes, group: str) -> None:
        """Run a job; there is a free slot. Jobs of different groups never run in the same process."""
        ...

    def finished(self) -> list[JobResult]:
        """Wait for a moment, or until jobs end, and return those that ended.

        Raises:
            StorageError: no process can be started any more.
        """
        ...

    def end(self) -> None:
        """End all processes, with the jobs that they run."""
        ...
