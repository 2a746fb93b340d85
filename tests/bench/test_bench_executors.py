"""What executors and the store take: `pytest tests/bench/test_bench_executors.py --benchmark-only`.

The store is compared with writing the same files alone, without and with waiting for the disk at each, in turns of one
process. HARNESS_BENCH_OUT names a file for the figures.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import statistics
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.execution.jobs import JobResult
from harness.execution.supervisor import supervise
from harness.files import write_atomic
from harness.results.predictions import digest, pack
from harness.results.store import ResultStore, cell_content, sync_file_system
from harness.types.cell import Cell

from ..makers import make_cell

CELLS, TURNS = 1000, 5
SYNCED = 100
"""Cells of a turn that waits for the disk at each file."""

IMAGES, CLASSES = 2000, {"oop": 75, "ip": 36}
"""Of a made-up cell, as of a domain of LAION-Beyond."""

OURS, PLAIN, EACH = "store", "files alone", "files alone, each synced"

seconds: dict[tuple[str, int], tuple[float, float]] = {}
"""Contender, turn -> seconds of the clock and of the CPU for a cell."""


class Instant:
    """A pool of 64 processes whose jobs end at once."""

    slots = 64

    def __init__(self) -> None:
        self._taken: list[int] = []

    def take(self, number: int, job: bytes, group: str) -> None:
        self._taken.append(number)

    def finished(self) -> list[JobResult]:
        taken, self._taken = self._taken, []
        return [JobResult(number, b"") for number in taken]

    def end(self) -> None:
        pass


@pytest.mark.benchmark(group="executors")
def test_bench_loop_of_jobs(benchmark: Any) -> None:
    def run() -> int:
        return sum(1 for _ in supervise(Instant(), range(CELLS), None))

    assert benchmark(run) == CELLS


@cache
def cells() -> list[Cell]:
    """Made-up cells, each with predictions of its own."""
    made = []
    for seed in range(CELLS):
        generator = np.random.default_rng(seed)
        content = pack({"oop": generator.integers(0, CLASSES["oop"], IMAGES)})
        per_class = {side: tuple(generator.random(count).tolist()) for side, count in CLASSES.items()}
        values = {"per_class": per_class, "predictions": digest(content), "predictions_content": content}
        made.append(make_cell(float(generator.random()), seed=seed).model_copy(update=values))
    return made


@cache
def contents() -> list[tuple[bytes, bytes]]:
    """The two files of each cell."""
    return [(cell.predictions_content or b"", cell_content(cell)) for cell in cells()]


def store(folder: Path) -> int:
    target = ResultStore(folder)
    for cell in cells():
        target.put(cell)
    target.flush()
    return CELLS


def write(folder: Path, durable: bool) -> int:
    folder.mkdir()
    names = map(str, itertools.count())
    count = SYNCED if durable else CELLS
    for files in contents()[:count]:
        for content in files:
            write_atomic(folder / next(names), content, durable)
    sync_file_system(folder)
    return count


@pytest.mark.parametrize("who", [OURS, PLAIN, EACH])
@pytest.mark.parametrize("turn", range(TURNS))
@pytest.mark.benchmark(group="store")
def test_bench_store_of_cells(benchmark: Any, tmp_path: Path, turn: int, who: str) -> None:
    contents()

    def run() -> None:
        begin, busy = time.perf_counter(), time.process_time()
        count = store(tmp_path / "out") if who == OURS else write(tmp_path / "out", durable=who == EACH)
        seconds[who, turn] = (time.perf_counter() - begin) / count, (time.process_time() - busy) / count

    benchmark.pedantic(run)


def test_figures_are_written(benchmark: Any) -> None:
    """Last: cells a second, medians and worst over the turns."""
    benchmark.pedantic(lambda: None)
    if not (out := os.environ.get("HARNESS_BENCH_OUT")):
        pytest.skip("HARNESS_BENCH_OUT is not set")
    content = {
        "schema": 1,
        "benchmark": "store",
        "cells": CELLS,
        "bytes_per_cell": round(statistics.mean(len(a) + len(b) for a, b in contents())),
        "turns": TURNS,
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "load": round(os.getloadavg()[0], 1),
        "rows": [row(who) for who in (OURS, PLAIN, EACH)],
    }
    Path(out).write_text(json.dumps(content, indent=1) + "\n")


def row(who: str) -> dict[str, Any]:
    """The cells that a contender writes in a second of the clock and of the CPU."""
    found: dict[str, Any] = {"who": who}
    for name, position in (("cells_per_s", 0), ("cells_per_cpu_s", 1)):
        rates = [1 / seconds[who, turn][position] for turn in range(TURNS)]
        found |= {name: round(statistics.median(rates)), f"worst_{name}": round(min(rates))}
    return found
