"""What pytest-benchmark runs for `harness bench matching`: one test per case, seed, part and side, side after side.

    HARNESS_BENCH_PLAN='{"cases": [["cpu", 64, 113, 1]], "seeds": 20}' \
        pytest harness/matching/timing.py --benchmark-only --benchmark-json FILE

A case is [kind, batch, n, threads]; `harness.matching.sides.KINDS` says which sides each kind has.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import Any

from harness.matching.sides import KINDS, Sides

QUICK = 2_000_000
"""Problems with no more entries than this are timed five times for each seed, after a warm-up; others once."""


def pytest_generate_tests(metafunc: Any) -> None:
    """One test per line of the plan; all sides of a seed stand together, so that they see the same machine."""
    plan = json.loads(os.environ["HARNESS_BENCH_PLAN"])
    cases = [
        (kind, batch, n, threads, seed, part, side)
        for kind, batch, n, threads in plan["cases"]
        for seed in range(plan["seeds"])
        for part, side in KINDS[kind].names(batch, n, threads)
    ]
    metafunc.parametrize("case", cases, ids=["-".join(map(str, case)) for case in cases])


@lru_cache(maxsize=1)
def _sides(kind: str, batch: int, n: int, threads: int, seed: int) -> Sides:
    return KINDS[kind].make(seed, batch, n, threads)


def test_side(benchmark: Any, case: tuple[Any, ...]) -> None:
    """Time one side on one instance."""
    kind, batch, n, threads, seed, part, side = case
    run = _sides(kind, batch, n, threads, seed)[part, side]
    quick = batch * n * n <= QUICK
    benchmark.extra_info.update(
        kind=kind,
        batch=batch,
        n=n,
        threads=threads,
        seed=seed,
        part=part,
        side=side,
        device=KINDS[kind].device,
    )
    benchmark.pedantic(run, rounds=5 if quick else 1, warmup_rounds=1 if quick or seed == 0 else 0)
