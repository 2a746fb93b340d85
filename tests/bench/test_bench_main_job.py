"""The main job against ``import torch`` and a matrix product, in files of ``pytest-benchmark`` and HARNESS_BENCH_OUT.

``pytest tests/bench/test_bench_main_job.py --benchmark-only`` runs in every turn, each in a new process, both of these,
`harness evaluate --plugin fsnl --all-domains` with an empty cache, and the same again. CPU seconds are those of all
processes of a command, and change little with other work on the machine; wall-clock seconds count on an idle one only.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

TURNS = int(os.environ.get("HARNESS_BENCH_TURNS", "3"))
MEASURE = """
import ctypes, json, os, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: the processes that a command leaves behind are waited for here
begin, cpu = time.perf_counter(), 0.0
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
while True:
    try:
        ended, status, usage = os.wait4(-1, 0)
    except ChildProcessError:
        break
    cpu += usage.ru_utime + usage.ru_stime
    if ended == process.pid:
        wall, code = time.perf_counter() - begin, os.waitstatus_to_exitcode(status)
print(json.dumps({"wall": wall, "cpu": cpu, "code": code}))
"""
"""Measures a command with all processes that it starts."""

PRODUCT = """
import os
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
import numpy
a = numpy.random.default_rng(0).random((2048, 2048), dtype=numpy.float32)
for _ in range(20):
    a @ a
"""
"""344 GFLOP in one thread."""

WORKS = "import torch", "matrix product", "first run", "second run"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are waited for in Linux's way"),
]

found: dict[tuple[str, int], dict[str, float]] = {}
loads: list[float] = []


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("main_job")


def command(work: str, turn: int, place: Path) -> list[str]:
    if work == "import torch":
        return ["-c", "import torch"]
    if work == "matrix product":
        return ["-c", PRODUCT]
    job = ["-m", "harness", "evaluate", "--plugin", "fsnl", "--all-domains"]
    return [*job, f"--cache={place / str(turn) / 'cache'}", f"--out={place / str(turn) / 'results'}"]


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("turn", range(TURNS))
def test_bench_main_job(benchmark, place, turn, work):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run() -> dict[str, float]:
        line = [sys.executable, "-c", MEASURE, sys.executable, *command(work, turn, place)]
        measured = subprocess.run(line, check=True, capture_output=True, env=environment, text=True)
        return json.loads(measured.stdout)

    loads.append(os.getloadavg()[0])
    benchmark.group = "main job"
    found[work, turn] = benchmark.pedantic(run)
    assert found[work, turn]["code"] == 0


def test_ratios_are_written(benchmark):
    """Last: the medians and the ratios, in the style of the other benchmarks."""
    benchmark.pedantic(lambda: None)
    if not (out := os.environ.get("HARNESS_BENCH_OUT")):
        pytest.skip("HARNESS_BENCH_OUT is not set")
    content = {
        "schema": 1,
        "benchmark": "main job",
        "turns": TURNS,
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "load": [round(load, 1) for load in (min(loads), max(loads))],
        },
        "versions": {name: version(name) for name in ("torch", "open_clip_torch", "numpy", "pytest-benchmark")},
        "rows": [row(work) for work in WORKS],
    }
    Path(out).write_text(json.dumps(content, indent=1) + "\n")


def row(work: str) -> dict[str, str | float]:
    """Seconds, and how many times as long as the yardsticks it takes, turn by turn."""

    def median(measure: str, peer: str | None = None) -> float:
        turns = range(TURNS)
        values = [found[work, t][measure] / (found[peer, t][measure] if peer else 1) for t in turns]
        return round(statistics.median(values), 3)

    return {
        "work": work,
        **{f"{measure}_s": median(measure) for measure in ("cpu", "wall")},
        **{f"{measure}_per_import_of_torch": median(measure, WORKS[0]) for measure in ("cpu", "wall")},
        **{f"{measure}_per_matrix_product": median(measure, WORKS[1]) for measure in ("cpu", "wall")},
    }
