"""The scripts for Slurm are valid, and an array's tasks, one after the other, give the leaderboard of one run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..datasets.roots import make_root

SCRIPTS = Path(__file__).resolve().parents[2] / "examples" / "slurm"

pytestmark = pytest.mark.skipif(not SCRIPTS.is_dir(), reason="needs the source tree")


@pytest.mark.parametrize("name", ["array.sh", "assemble.sh", "ray.sh"])
def test_scripts_are_valid(name: str) -> None:
    subprocess.run(["bash", "-n", SCRIPTS / name], check=True)
    lines = (SCRIPTS / name).read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"  # and Slurm reads its options up to the first command
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert [line for line in lines[first:] if line.startswith("#SBATCH")] == []
    assert "set -euo pipefail" in lines


@pytest.mark.slow
def test_an_array_of_shards_is_assembled_to_the_leaderboard_of_one_run(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", {"Animals3_OOP": ("auk", "ibex", "moth"), "Food3_OOP": ("pie", "tofu", "rye")})
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HARNESS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    words = ["--plugin", "tip_adapter", "--data", root, "--backbone", "beyond-mini", "--seeds", "1"]

    def run(*command: object, **variables: str) -> None:
        subprocess.run(command, cwd=tmp_path, env={**environment, **variables}, check=True, timeout=300)

    run("harness", "evaluate", *words, "--out", "one", "--workers", "1")
    for task in ("1", "2"):
        run("bash", SCRIPTS / "array.sh", *words, SLURM_ARRAY_TASK_ID=task, SLURM_ARRAY_TASK_COUNT="2")
    run("bash", SCRIPTS / "assemble.sh")
    boards = [(tmp_path / name / "leaderboard.json").read_bytes() for name in ("one", "results")]
    assert boards[0] == boards[1]
