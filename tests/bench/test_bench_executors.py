"""What executors and the store take: `pytest tests/bench/test_bench_executors.py --benchmark-only`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.execution.jobs import JobResult
from harness.execution.supervisor import supervise
from harness.results.store import ResultStore

from ..makers import make_cell

CELLS = 1000


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


@pytest.mark.benchmark(group="executors")
def test_bench_store_of_cells(benchmark: Any, tmp_path: Path) -> None:
    """Seconds of CPU per cell are in ``extra_info``: the rest is the disk, which syncs every file."""
    made = [make_cell(seed=seed) for seed in range(CELLS)]
    folders: Iterator[Path] = (tmp_path / str(number) for number in range(10**6))
    spent = list[float]()

    def run() -> None:
        store, begin = ResultStore(next(folders)), time.process_time()
        for cell in made:
            store.put(cell)
        spent.append((time.process_time() - begin) / CELLS)

    benchmark.pedantic(run, rounds=3)
    benchmark.extra_info["cells per CPU second"] = round(1 / min(spent))
