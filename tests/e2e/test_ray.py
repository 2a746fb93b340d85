"""Runs on a Ray cluster: the leaderboard of a local run, whatever is killed; nodes that lack something are named."""

from __future__ import annotations

import os
import subprocess
import sys
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
