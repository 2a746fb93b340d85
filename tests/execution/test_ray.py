"""Jobs on two nodes of a Ray cluster, whose workers, agents and nodes are killed; bad clusters get one sentence."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import executor_jobs as work
import psutil
import pytest

from harness.errors import HarnessError, StorageError, UserError
from harness.execution import ray_pool
from harness.execution.executors import Executor, ExecutorSettings
from harness.execution.jobs import JobFailure, JobResult, Limits
from harness.execution.ray_cluster import open_ray
from harness.execution.sandbox import Sandbox
from harness.execution.supervisor import ATTEMPTS

from ..processes import gone

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of Ray's own code
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # other tests run too
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])]))
        made = Cluster()
        made.add_node(num_cpus=1)
        made.add_node(num_cpus=1, env_vars={"NODE": "second"})
        yield made
        made.shutdown()


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def opened(cluster: Any, notes: list[str]) -> Iterator[Executor]:
    with open_ray(ExecutorSettings(work.same, cluster.address, 1, notes.append)) as executor:
        yield executor


def values(results: Iterator[JobResult]) -> list[bytes | JobFailure]:
    return [result.value for result in sorted(results, key=lambda result: result.number)]


def test_jobs_of_two_nodes_have_one_result_each(opened: Executor) -> None:
    jobs = [*(("slow", number) for number in range(40)), ("raise",), ("exit", 3)]
    results = list(opened(jobs, work.make))
    assert len({result.place for result in results}) == 2
    *numbers, raised, ended = values(iter(results))
    assert numbers == [str(number).encode() for number in range(40)]
    assert isinstance(raised, JobFailure)
    assert raised.reason == "raised ZeroDivisionError: division by zero"
    assert ended == JobFailure("ended", "ended its process with exit code 3")


def test_limits_and_sandbox_hold_on_nodes(opened: Executor, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("labels")
    limits = Limits(1, 1.0, sandbox=Sandbox((tmp_path,)))
    hidden, slow = list(opened([("read", tmp_path / "secret"), ("sleep", 60)], work.make, limits))
    assert isinstance(hidden.value, JobFailure)
    assert "landlock" in hidden.isolation
    assert slow.value == JobFailure("time", "took longer than 1 seconds")


def agents() -> list[psutil.Process]:
    return [one for one in psutil.process_iter(["cmdline"]) if "ray::NodeAgent" in " ".join(one.info["cmdline"] or ())]


def test_killed_worker_agent_and_node_cost_only_another_run(opened: Executor, cluster: Any, notes: list[str]) -> None:
    third, found = cluster.add_node(num_cpus=1), list[JobResult]()
    for result in opened([("slow", number) for number in range(40)], work.make):
        found.append(result)
        if len(found) == 5:
            worker = next(child for agent in agents() for child in agent.children(recursive=True))
            worker.kill()
        if len(found) == 10:
            agents()[0].kill()
        if len(found) == 15:
            cluster.remove_node(third, allow_graceful=False)
    assert values(iter(found)) == [str(number).encode() for number in range(40)]
    assert any("what it ran is run again" in note for note in notes)


def test_a_job_that_loses_its_node_again_and_again_fails_with_the_reason(opened: Executor) -> None:
    bad, good = values(opened([("kill parent",), "good"], work.make))
    assert isinstance(bad, JobFailure)
    assert bad.kind == "lost"
    assert bad.reason.startswith(f"was started {ATTEMPTS} times, and its node ")
    assert good == b"good"


def test_results_that_nobody_wants_end_all_processes(opened: Executor, tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = opened([("leave processes", log, 60), ("wait for", log), "more"], work.make)
    next(iter(results))
    results.close()  # type: ignore[attr-defined]
    assert gone(*map(int, log.read_text().split()))


def test_a_node_that_cannot_run_jobs_is_named_and_others_go_on(cluster: Any, notes: list[str]) -> None:
    with open_ray(ExecutorSettings(work.refuses_second, cluster.address, 1, notes.append)) as executor:
        assert values(executor([1, 2, 3], work.make)) == [b"1", b"2", b"3"]
    (note,) = notes
    assert note.startswith(f"node {socket.gethostname()}")
    assert note.endswith(" is not used: it has no folder /data/Food")
    with (
        open_ray(ExecutorSettings(work.refuses, cluster.address, 1, notes.append)) as executor,
        pytest.raises(StorageError, match=r"no node of the cluster can be used; .*: it has no folder /data/Food"),
    ):
        list(executor([1], work.make))


def test_a_silent_node_is_given_up(opened: Executor, monkeypatch: pytest.MonkeyPatch, notes: list[str]) -> None:
    monkeypatch.setattr(ray_pool, "SILENT_SECONDS", 8.0)
    found = list[JobResult]()
    for result in opened([("slow", number) for number in range(20)], work.make):
        found.append(result)
        if len(found) == 3:
            agents()[0].suspend()
    assert len(found) == 20
    assert any("did not answer for 8 seconds" in note for note in notes)


def test_addresses_that_do_not_answer_get_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"the Ray cluster {address} does not answer: Connection refused"):
            open_ray(ExecutorSettings(work.same, address)).__enter__()
    with pytest.raises(UserError, match="--ray-address 'ray://head' is not HOST:PORT"):
        open_ray(ExecutorSettings(work.same, "ray://head")).__enter__()
    with socket.create_server(("127.0.0.1", 0)) as other:  # something that is no cluster
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(HarnessError, match=f"the Ray cluster {address} cannot be used"):
            open_ray(ExecutorSettings(work.same, address)).__enter__()
