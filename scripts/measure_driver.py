"""Measure the memory of the driver of a run, and the cells that it stores in a second.

    python scripts/measure_driver.py [--cells 100000] [--work FOLDER]          # FOLDER: where temporary data go

Planning, store, leaderboard and a second run, in which all cells are known, are those of `harness evaluate`, on nine
domains with as many classes as LAION-Beyond's; only the results are made up, because computing so many takes days. No
method and no backbone is loaded; torch is, by the first run, and a model would take some hundred MB more.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from made_up_root import CLASSES, DOMAINS, write_root

from harness.metrics.built_in import BUILT_IN
from harness.runner import evaluate as driver
from harness.runner.job import Job
from harness.runner.request import MethodChoice, Request
from harness.types.cell import Cell, Cost

METHODS, SHOTS = 40, (1, 2, 4, 8, 16)
PARTS = {"train": 16, "val": 4, "test": 4}
"""Images of each class: no more than the draws need."""


def made_up(plan: Any, pending: list[Job], *rest: Any) -> Iterator[tuple[Cell, bytes]]:
    """In place of ``run_cells``: random results at once."""
    generator = np.random.default_rng(0)
    for job in pending:
        per_class = {side.lower(): tuple(generator.random(count).tolist()) for side, count in CLASSES.items()}
        metrics = dict(zip(BUILT_IN, generator.random(len(BUILT_IN)).tolist(), strict=True))
        cost = Cost(fit_seconds=1.0, score_seconds=0.1, trainable=512, peak_host_bytes=2**30)
        images = {side.lower(): PARTS["test"] * count for side, count in CLASSES.items()}
        outcome = {"loss": float(generator.random()), "epochs": 20}
        values = {"metrics": metrics, "per_class": per_class, "images": images, "outcome": outcome, "cost": cost}
        yield Cell(spec=job.spec, **values), b""


def run(data: Path, work: Path, cells: int, name: str) -> None:
    """Evaluate in a process of its own, and print one JSON line."""
    driver.run_cells = made_up
    seeds = range(1, round(cells / METHODS / len(SHOTS) / DOMAINS) + 1)
    methods = tuple(MethodChoice("tip_adapter", parameters={"alpha": 1 + number / 8}) for number in range(METHODS))
    before = _peak()
    begin = time.perf_counter(), time.process_time()
    outcome = driver.evaluate(
        Request(
            methods, shots=SHOTS, seeds=tuple(seeds), data=data, backbone="beyond-mini", out=work, cache=work / "cache"
        )
    )
    figures = {
        "run": name,
        "cells": outcome.computed + outcome.reused,
        "known": outcome.reused,
        "rows": len(outcome.leaderboard.rows),
        "seconds": round(time.perf_counter() - begin[0], 1),
        "cpu_seconds": round(time.process_time() - begin[1], 1),
        "peak_mb_before": before,
        "peak_mb": _peak(),
    }
    print(json.dumps(figures), flush=True)


def _peak() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--work", type=Path, help="where temporary results go")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        data, _ = write_root(Path(folder) / "data", PARTS)
        for name in ("first", "second"):
            process = multiprocessing.get_context("spawn").Process(
                target=run, args=(data, Path(folder), given.cells, name)
            )
            process.start()
            process.join()
            assert process.exitcode == 0


if __name__ == "__main__":
    main()
