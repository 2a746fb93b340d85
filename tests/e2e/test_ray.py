"""Runs on a Ray cluster: the results of a local run, whatever is killed; nodes that lack something are named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.results.leaderboard_file import BOARD

pytest.importorskip("ray")


@pytest.mark.slow
def test_killed_workers_actors_nodes_and_drivers_change_no_byte(world, tmp_path):
    script = Path(__file__).with_name("killing_ray.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, script, world, tmp_path, "4"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "identical after 4 kills" in done.stdout


@pytest.mark.slow
def test_without_a_cluster_one_is_started_and_ended(evaluate, world, tmp_path):
    words = ("--plugin", "fsnl", "--seeds", "1")
    assert evaluate(*words, "--cache", tmp_path / "local cache", out=tmp_path / "local").code == 0
    options = ("--executor", "ray", "--ray-address", "local", "--workers", "2", "--cache", tmp_path / "ray cache")
    answer = evaluate(*words, *options, out=tmp_path / "ray")
    assert answer.code == 0, answer.err
    assert (tmp_path / "ray" / BOARD).read_bytes() == (tmp_path / "local" / BOARD).read_bytes()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a cluster of two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # other tests run too
        cluster = Cluster()
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster.address
        cluster.shutdown()


@pytest.mark.slow
def test_data_check_on_nodes_gives_the_report_of_one_machine(harness, world, tmp_path, address):
    damaged = tmp_path / "data"
    shutil.copytree(world, damaged)
    missing, corrupt, *_ = sorted(damaged.glob("Animals6_OOP/images/*/*"))
    missing.unlink()
    corrupt.write_bytes(b"no image")
    local = harness("data", "check", damaged, "--json")
    assert [problem["kind"] for folder in local.json["folders"] for problem in folder["problems"]].count("missing") == 1
    on_ray = harness("data", "check", damaged, "--json", "--executor", "ray", "--ray-address", address)
    assert (on_ray.code, on_ray.json) == (local.code, local.json) == (1, local.json)


@pytest.mark.slow
def test_counting_on_nodes_gives_the_record_of_one_machine(harness, tmp_path, address):
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text("a red house\na fern and a gyro\n" * (number + 1))
    names = tmp_path / "names"
    names.write_text("gyro\nred house\nno such thing\n")
    command = ("corpus", "count", tmp_path / "*.txt", "--names", names, "--out")
    assert harness(*command, tmp_path / "local.json").code == 0
    answer = harness(*command, tmp_path / "ray.json", "--executor", "ray", "--ray-address", address)
    assert answer.code == 0, answer.err
    assert (tmp_path / "ray.json").read_bytes() == (tmp_path / "local.json").read_bytes()
