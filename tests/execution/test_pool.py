"""Cells in worker processes: none is lost, whenever a worker is killed."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import StorageError
from harness.execution import isolated, pool
from harness.prompts import Template


class Executor:
    """Takes jobs until its turn to break, and then neither takes nor finishes one."""

    _processes: Any = None
    breaks_at: int
    calls = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.taken: list[Future[Any]] = []

    def submit(self, work: Any, job: int) -> Future[Any]:
        Executor.calls += 1
        if Executor.calls == self.breaks_at:
            raise BrokenProcessPool
        self.taken.append(Future())
        if Executor.calls > self.breaks_at:
            self.taken[-1].set_result(job)
        return self.taken[-1]

    def shutdown(self, **options: Any) -> None:
        """Nothing is left."""


@pytest.mark.parametrize("breaks_at", range(1, 5))
def test_no_job_is_lost_when_a_worker_is_killed_between_two(monkeypatch: pytest.MonkeyPatch, breaks_at: int) -> None:
    monkeypatch.setattr(pool, "ProcessPoolExecutor", Executor)
    monkeypatch.setattr(Executor, "breaks_at", breaks_at, raising=False)
    monkeypatch.setattr(Executor, "calls", 0)
    jobs: Any = list(range(7))
    found: Any = list(pool.run_in_workers(jobs, Template(), lambda: None, workers=2))  # type: ignore[arg-type,return-value]
    assert sorted(parcel.open() for parcel in found) == jobs


def test_a_pool_whose_own_thread_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends where the system refuses it another thread, and no result would ever come."""
    monkeypatch.setattr(pool, "ProcessPoolExecutor", Executor)
    monkeypatch.setattr(pool, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(Executor, "breaks_at", 99, raising=False)
    monkeypatch.setattr(Executor, "calls", 0)
    monkeypatch.setattr(Executor, "_executor_manager_thread", threading.Thread(), raising=False)  # not alive
    with pytest.raises(StorageError, match="no thread can be started"):
        list(pool.run_in_workers([1], Template(), lambda: None, workers=2))  # type: ignore[list-item,arg-type,return-value]


def test_time_in_which_the_whole_run_was_suspended_is_not_the_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(isolated.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(isolated, "_resident", lambda pid: 0)
    watch = isolated._Watch(None, isolated.Limits(60, 1), threading.Event())  # type: ignore[arg-type]
    watch._allowed = 60
    process: Any = SimpleNamespace(pid=None)

    def after(seconds: float) -> str | None:
        clock[0] += seconds
        return watch._excess(process)

    assert [after(seconds) for seconds in (1, 5, 7200, 5)] == [None] * 4
    assert [after(5) for _ in range(8)][-1] == "took longer than 60 seconds"
