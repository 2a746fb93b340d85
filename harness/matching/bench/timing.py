"""The tests that pytest-benchmark runs for `harness bench`: one per case, seed, part and contender.

    HARNESS_BENCH_PLAN='{"cases": [["cpu", 64, 113, 1]], "seeds": 20}' \
        pytest harness/matching/bench/timing.py --benchmark-only --benchmark-json FILE

A case is [kind, batch, n, threads]; `harness.matching.bench.contenders.KINDS` lists the contenders of each kind.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import Any

from harness.matching.bench.contenders import KINDS, Contenders, is_quick


def pytest_generate_tests(metafunc: Any) -> None:
    """Parametrise by the plan; all contenders of a seed run in a row, under the same load of the machine."""
    plan = json.loads(os.environ["HARNESS_BENCH_PLAN"])
    cases = [
        (kind, batch, n, threads, seed, part, contender)
        for seed in range(plan["seeds"])
        for kind, batch, n, threads in plan["cases"]
        for part, contender in KINDS[kind].names(batch, n, threads, seed)
    ]
    metafunc.parametrize("case", cases, ids=["-".join(map(str, case)) for case in cases])


@lru_cache(maxsize=1)
def _contenders(kind: str, batch: int, n: int, threads: int, seed: int) -> Contenders:
    return KINDS[kind].make(seed, batch, n, threads)


def test_contender(benchmark: Any, case: tuple[Any, ...]) -> None:
    """Time one contender on one instance: five times where all take milliseconds, once where one needs more."""
    kind, batch, n, threads, seed, part, contender = case
    run = _contenders(kind, batch, n, threads, seed)[part, contender]
    quick = is_quick(batch, n)
    benchmark.extra_info.update(
        kind=kind,
        batch=batch,
        n=n,
        threads=threads,
        seed=seed,
        part=part,
        contender=contender,
        device=KINDS[kind].device,
    )
    if contender == "scipy":  # which keeps nothing from one call for the next
        benchmark.pedantic(run, rounds=1)
    else:
        benchmark.pedantic(run, rounds=5 if quick else 1, warmup_rounds=1 if quick or seed == 0 else 0)
