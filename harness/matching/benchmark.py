"""Matching against its peers, side by side: what `harness bench matching` and tests/bench measure.

Two parts. "assignment": all sides get the same similarities, ours as int32, lapx as float32, scipy as float64. "call":
from unit rows to columns, ours by `match`, the peers by `torch.bmm` in float32 and their solver. On a GPU the peers'
part includes the copy of the similarities to pinned memory on the host and of the columns back.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from harness.matching import instances, native
from harness.matching.door import assign, match
from harness.matching.quantise import UNIT

Run = Callable[[], Any]

SIZES = ((1, 113), (64, 113), (1, 1000), (16, 1000))
"""(batch, n = m) of the cases on the CPU."""

GPU_SIZES = (*SIZES, (9, 113), (512, 113), (132, 200), (1, 4000), (1, 8000))
"""(batch, n = m) of the cases on a CUDA device."""


@dataclass(frozen=True)
class Row:
    """One peer in one case: medians over seeds, in milliseconds, and ratios peer / ours (above 1: ours is faster)."""

    part: str
    device: str
    batch: int
    n: int
    threads: int
    peer: str
    ours_ms: float
    peer_ms: float
    ratio: float
    worst: float

    @property
    def key(self) -> str:
        """What a floor refers to: one thread, or several, as many as the machine has."""
        threads = "one-thread" if self.threads == 1 else "threads"
        return f"{self.part}/{self.device}/{self.batch}x{self.n}/{threads}/{self.peer}"

    def to_json(self) -> dict[str, Any]:
        """Plain types, times with four digits."""
        return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in asdict(self).items()}


def cpu_sides(seed: int, batch: int, n: int, threads: int) -> dict[str, dict[str, Run]]:
    """For each part, what each side runs for one instance. scipy has one thread; it is left out of cases with more."""
    import torch

    p, t = instances.clip_like(seed, batch, n, n)
    prototypes, names = torch.from_numpy(p), torch.from_numpy(t)
    whole = native.quantised_similarity(p, t, threads)[0]
    cost32, cost64 = (-whole.astype(dtype) / UNIT for dtype in (np.float32, np.float64))
    parts: dict[str, dict[str, Run]] = {
        "assignment": {"ours": lambda: assign(whole, backend="cpp", threads=threads)},
        "call": {"ours": lambda: match(prototypes, names, backend="cpp", threads=threads)},
    }

    def similarity() -> Any:
        torch.set_num_threads(threads)
        return torch.bmm(prototypes, names.mT).neg_().numpy()

    if lapjvr := lapx_batch():
        parts["assignment"]["lapx"] = lambda: lapjvr(cost32, return_cost=False, n_threads=threads)
        parts["call"]["lapx"] = lambda: lapjvr(similarity(), return_cost=False, n_threads=threads)
    if threads == 1:
        parts["assignment"]["scipy"] = lambda: [linear_sum_assignment(one) for one in cost64]
        parts["call"]["scipy"] = lambda: [linear_sum_assignment(one) for one in similarity()]
    return parts


def gpu_sides(seed: int, batch: int, n: int, threads: int) -> dict[str, dict[str, Run]]:
    """As `cpu_sides`, for a CUDA device: fused where it fits; each run ends when the device is done."""
    import torch

    p, t = (torch.from_numpy(x).cuda() for x in instances.clip_like(seed, batch, n, n))
    host = torch.empty((batch, n, n), pin_memory=True)

    def similarity() -> Any:
        host.copy_(torch.bmm(p, t.mT).neg_())
        return host.numpy()

    def ours(backend: str) -> Run:
        def run() -> None:
            match(p, t, backend=backend)  # type: ignore[call-overload]
            torch.cuda.synchronize()

        return run

    def scipy() -> None:
        torch.from_numpy(np.stack([linear_sum_assignment(one)[1] for one in similarity()])).cuda()

    runs: dict[str, Run] = {"cpp": ours("cpp"), "scipy": scipy}
    if native.module().fused_fits(n, n):
        runs |= {"ours": ours("cuda-fused"), "unfused": ours("cuda")}
    else:
        runs |= {"ours": ours("cuda")}
    if lapjvr := lapx_batch():

        def lapx() -> None:
            _, columns = lapjvr(similarity(), return_cost=False, n_threads=threads)
            torch.from_numpy(np.stack(columns)).cuda()

        runs["lapx"] = lapx
    return {"call": runs}


def measure(
    sides: Callable[[int, int, int, int], dict[str, dict[str, Run]]],
    device: str,
    batch: int,
    n: int,
    threads: int,
    seeds: int,
) -> Iterator[Row]:
    """Time all sides of one case, seed by seed and side after side, and compare ours with each peer."""
    times: dict[str, dict[str, list[float]]] = {}
    for seed in range(seeds):
        for part, runs in sides(seed, batch, n, threads).items():
            for side, run in runs.items():
                if seed == 0:
                    run()
                times.setdefault(part, {}).setdefault(side, []).append(_milliseconds(run))
    for part, by_side in times.items():
        ours = by_side.pop("ours")
        for peer, theirs in by_side.items():
            ratios = [their / our for their, our in zip(theirs, ours, strict=True)]
            medians = statistics.median(ours), statistics.median(theirs), statistics.median(ratios)
            yield Row(part, device, batch, n, threads, peer, *medians, min(ratios))


def lapx_batch() -> Callable[..., Any] | None:
    """lapx's strongest batch solver, or None where it is not installed."""
    try:
        from lap import lapjvr_batch
    except ImportError:
        return None
    solve: Callable[..., Any] = lapjvr_batch
    return solve


def _milliseconds(run: Run) -> float:
    """The median of five calls, or of as many as fit into fifty milliseconds."""
    taken: list[float] = []
    while len(taken) < 5 and sum(taken) < 50:
        begin = time.perf_counter()
        run()
        taken.append(1000 * (time.perf_counter() - begin))
    return statistics.median(taken)
