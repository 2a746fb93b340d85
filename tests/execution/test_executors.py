"""Jobs give the same results in every executor; one that fails is its own failure and nobody else's."""

from __future__ import annotations

import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

import executor_jobs as work
import pytest

from harness.errors import UserError
from harness.execution import fork_server, local_pool, worker_process
from harness.execution.executors import Executor, ExecutorSettings, here, isolated, processes
from harness.execution.jobs import JobFailure, JobResult, Limits
from harness.execution.messages import _HEAD
from harness.execution.ray_cluster import open_ray
from harness.runner.method_processes import PRELOADED

from ..processes import gone

TWO = Limits(2)


@pytest.fixture(autouse=True, scope="module")
def server() -> None:
    """Starts the fork server as runs do: it is the only one of this process, and other tests need it so."""
    fork_server.start_server(PRELOADED)


def run(executor: Executor, *jobs: Any, make: Any = work.make, limits: Limits = TWO) -> list[JobResult]:
    return sorted(executor(jobs, make, limits), key=lambda result: result.number)


def failure(result: JobResult) -> JobFailure:
    assert isinstance(result.value, JobFailure), result
    return result.value


def pids(log: Path) -> list[int]:
    return [int(pid) for pid in log.read_text().split()]


# -- results -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [here, processes, isolated])
@pytest.mark.parametrize("number", [0, 1, 7])
def test_every_job_has_one_result(executor: Executor, number: int) -> None:
    found = run(executor, *range(number))
    assert [(result.number, result.value) for result in found] == [(i, str(i).encode()) for i in range(number)]


@pytest.mark.parametrize("executor", [here, processes, isolated])
def test_job_that_raises_is_a_failure_with_its_trace(executor: Executor) -> None:
    bad, good = run(executor, ("raise",), "good")
    assert (failure(bad).kind, failure(bad).reason) == ("raised", "raised ZeroDivisionError: division by zero")
    assert "1 / 0" in failure(bad).trace
    assert good.value == b"good"


@pytest.mark.parametrize("executor", [processes, isolated])
def test_exit_in_a_job_is_a_failure(executor: Executor) -> None:
    ends, leaves, good = run(executor, ("exit", 3), ("sys.exit", "enough"), "good")
    assert failure(ends) == JobFailure("ended", "ended its process with exit code 3")
    assert failure(leaves).reason == "raised SystemExit: enough"
    assert good.value == b"good"


@pytest.mark.parametrize("executor", [processes, isolated])
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, "was killed by SIGKILL, perhaps because memory ran out"),
        (signal.SIGTERM, "was killed by SIGTERM"),
        (40, "was killed by signal 40"),
    ],
)
def test_job_that_kills_its_process_is_found_and_no_other_is_lost(executor: Executor, number: int, reason: str) -> None:
    found = run(executor, 0, 1, ("die", number), 3, 4)
    assert failure(found[2]) == JobFailure("ended", reason)
    assert [result.value for result in found if result.number != 2] == [b"0", b"1", b"3", b"4"]


def test_job_whose_process_was_killed_runs_again_after_the_others(tmp_path: Path) -> None:
    order = list(processes([("die once", tmp_path / "marker"), 1, 2, 3], work.make, TWO))
    assert (order[-1].number, order[-1].value) == (0, b"second attempt")
    assert len(order) == 4


def test_job_that_ran_out_of_shared_memory_runs_again_alone(tmp_path: Path) -> None:
    order = list(processes([("share memory", tmp_path / "marker"), 1, ("never enough",), 3], work.make, TWO))
    again = {result.number: result for result in order[-2:]}  # in the order in which they ran out of memory
    assert again.keys() == {0, 2}
    assert again[0].value == b"second attempt"
    assert failure(again[2]).reason == "raised RuntimeError: out of memory"


def test_jobs_are_spread_over_devices() -> None:
    limits = Limits(4, devices=("cuda:0", "cuda:1"))
    for executor in (here, processes):
        places = [result.place for result in executor([("sleep", 0.2)] * 8, work.make, limits)]
        assert set(places) == {"cuda:0", "cuda:1"}


def test_worker_that_is_killed_between_two_jobs_loses_none() -> None:
    found = []
    for result in processes([("pid",)] * 6, work.make, Limits(1)):
        found.append(result)
        if len(found) == 2:
            assert isinstance(result.value, bytes)
            os.kill(int(result.value), signal.SIGKILL)  # it has the next job already, or has ended it
    assert sorted(result.number for result in found) == list(range(6))
    assert len({result.value for result in found}) == 2


@pytest.mark.parametrize("executor", [processes, isolated])
def test_process_that_cannot_be_set_up_is_a_failure_with_the_error(executor: Executor) -> None:
    assert failure(run(executor, 1, make=work.make_none)[0]) == JobFailure("setup", "weights.pt is damaged")
    bug = failure(run(executor, 1, make=work.make_bug)[0])
    assert (bug.kind, bug.reason) == ("setup", "the process cannot be set up: it raised KeyError: 'weights'")
    assert "make_bug" in bug.trace


def test_ray_that_is_not_installed_gets_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="the executor ray cannot be used: ") as raised:
        open_ray(ExecutorSettings(work.same)).__enter__()
    assert raised.value.hint == 'pip install "laion-beyond-harness[ray]"'


@pytest.mark.parametrize("executor", [processes, isolated])
def test_job_that_cannot_be_pickled_is_a_failure(executor: Executor) -> None:
    bad, good = run(executor, (i for i in ()), "good")
    assert (failure(bad).kind, good.value) == ("message", b"good")
    assert failure(bad).reason.startswith("cannot be sent to another process: ")


# -- what processes are like -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [processes, isolated])
def test_process_ignores_ctrl_c_and_starts_others_in_the_default_way(executor: Executor) -> None:
    ignores, method = run(executor, ("interrupts",), ("start method",))
    assert (ignores.value, method.value) == (b"True", b"None")


def test_workers_run_many_jobs_and_isolated_processes_one() -> None:
    assert len({result.value for result in run(processes, *[("pid",)] * 6)}) <= 2
    assert len({result.value for result in run(isolated, *[("pid",)] * 6)}) == 6


def test_unpickling_leaves_no_change_of_state() -> None:
    before, _, after = run(processes, None, work.Elsewhere(), None, limits=Limits(1))
    assert before.value == after.value


def test_output_is_captured_when_isolated() -> None:
    (result,) = run(isolated, ("print", "hello"))
    assert result.log == b"hello\nhello in a shell\n"


# -- ends --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [processes, isolated])
def test_what_a_job_started_ends_with_its_process(executor: Executor, tmp_path: Path) -> None:
    run(executor, ("leave processes", tmp_path / "log"))
    assert len(pids(tmp_path / "log")) == 3
    assert gone(*pids(tmp_path / "log"))


@pytest.mark.parametrize("executor", [processes, isolated])
def test_results_that_nobody_wants_end_all_processes(executor: Executor, tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = executor([("wait for", log), ("leave processes", log, 60)], work.make, TWO)
    next(iter(results))
    results.close()  # type: ignore[attr-defined]
    assert gone(*pids(log))


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [processes, isolated])
def test_job_over_a_limit_is_a_failure(executor: Executor) -> None:
    slow, good = run(executor, ("sleep", 60), "good", limits=Limits(2, seconds=0.5))
    assert (failure(slow), good.value) == (JobFailure("time", "took longer than 0.5 seconds"), b"good")
    big, good = run(executor, ("eat", 600 * 2**20), "good", limits=Limits(2, memory=2**29))
    assert (failure(big), good.value) == (JobFailure("memory", "used more than 0.5 GiB of memory"), b"good")


def test_flood_of_output_is_a_failure_with_a_bounded_log() -> None:
    flood, good = run(isolated, ("flood",), "good")
    assert (failure(flood), good.value) == (JobFailure("output", "printed more than 16 MiB"), b"good")
    assert b"bytes left out" in flood.log
    assert len(flood.log) < 2**18


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"D\x40", "took longer than 1 seconds"),  # half a message
        (_HEAD.pack(b"D", 2**40), "sent more than 0.25 GiB"),
        (_HEAD.pack(b"X", 0), "sent something that is not a result"),
    ],
)
def test_bad_message_is_a_failure_and_blocks_nobody(content: bytes, reason: str) -> None:
    bad, good = run(isolated, ("send", content), "good", limits=Limits(2, seconds=1))
    assert (failure(bad).reason, good.value) == (reason, b"good")


def test_time_in_which_the_whole_run_was_suspended_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = worker_process.WorkerProcess.__new__(worker_process.WorkerProcess)
    clock = [0.0]
    monkeypatch.setattr(worker_process.time, "monotonic", lambda: clock[0])
    worker.output, worker._limits, worker._ready = None, Limits(1, 60, math.inf), True
    worker._seen, worker._spent = 0.0, 0.0

    def after(seconds: float) -> str | None:
        clock[0] += seconds
        found = worker._excess()
        return found.reason if found else None

    assert [after(seconds) for seconds in (1, 5, 7200, 5)] == [None] * 4
    assert [after(5) for _ in range(8)][-1] == "took longer than 60 seconds"


def test_workers_without_limits_are_not_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []
    wait = local_pool.wait

    def recorded(sources: Any, timeout: float | None) -> Any:
        waits.append(timeout)
        return wait(sources, timeout)

    monkeypatch.setattr(local_pool, "wait", recorded)
    run(processes, 1, 2, 3)
    assert set(waits) == {None}
