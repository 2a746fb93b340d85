"""The contenders of the benchmark, our backends and other solvers, for each kind of case.

Two parts. "assignment": from the same similarities, ours as int32, lapx as float32, scipy as float64. "call": from unit
rows to columns, ours by `match`, the others by `torch.bmm` in float32 and their solver. On a GPU the others' time
includes copying similarities to pinned memory on the host and columns back. Kernels are timed only after their result
on the same instance equals that of the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from harness.matching import check_backends, instances, native
from harness.matching.api import assign, match
from harness.matching.backends import Backend
from harness.matching.quantise import UNIT

Run = Callable[[], Any]
Contenders = dict[tuple[str, str], Run]
"""(part, contender) -> the call to time."""


QUICK = 2_000_000
"""Problems with no more entries than this take milliseconds."""

SCIPY_SEEDS = 2
"""Instances of other problems on which scipy, which needs seconds for one, is timed: it is far from its floors there,
and instances differ by a tenth."""


@dataclass(frozen=True)
class CaseKind:
    """A kind of case: how to make the contenders for one instance, and their names, known without a device.

    Names are those of (batch, n, threads, seed).
    """

    device: str
    names: Callable[[int, int, int, int], list[tuple[str, str]]]
    make: Callable[[int, int, int, int], Contenders]


# ------------------------------------------------------------------------------------------ on the CPU


def is_quick(batch: int, n: int) -> bool:
    """Whether a problem takes milliseconds."""
    return batch * n * n <= QUICK


def _scipy(batch: int, n: int, seed: int) -> list[str]:
    return ["scipy"] if is_quick(batch, n) or seed < SCIPY_SEEDS else []


def _cpu_names(batch: int, n: int, threads: int, seed: int) -> list[tuple[str, str]]:
    """scipy uses one thread, so it is left out of cases with more."""
    peers = (["lapx"] if lapx_batch() else []) + (_scipy(batch, n, seed) if threads == 1 else [])
    return [(part, name) for part in ("assignment", "call") for name in ("ours", *peers)]


@lru_cache(maxsize=1)
def _cpu_problem(seed: int, batch: int, n: int) -> tuple[Any, ...]:
    """Prototypes, names, and their similarities as each solver takes them; cases with more threads share them."""
    p, t = instances.clip_like(seed, batch, n, n)
    whole = native.quantised_similarity(p, t, native.usable_cores())[0]
    return p, t, whole, -whole.astype(np.float32) / UNIT, -whole.astype(np.float64) / UNIT


def _cpu_contenders(seed: int, batch: int, n: int, threads: int) -> Contenders:
    import torch

    p, t, whole, cost32, cost64 = _cpu_problem(seed, batch, n)
    prototypes, names = torch.from_numpy(p), torch.from_numpy(t)
    lapjvr = lapx_batch()

    def similarity() -> Any:
        torch.set_num_threads(threads)
        return torch.bmm(prototypes, names.mT).neg_().numpy()

    def lapx(costs: Any) -> Any:
        return lapjvr(costs, return_cost=False, n_threads=threads) if lapjvr else None

    return {
        ("assignment", "ours"): lambda: assign(whole, backend="cpp", threads=threads),
        ("assignment", "lapx"): lambda: lapx(cost32),
        ("assignment", "scipy"): lambda: [linear_sum_assignment(one) for one in cost64],
        ("call", "ours"): lambda: match(prototypes, names, backend="cpp", threads=threads),
        ("call", "lapx"): lambda: lapx(similarity()),
        ("call", "scipy"): lambda: [linear_sum_assignment(one) for one in similarity()],
    }


# -------------------------------------------------------------------------------------------- on a GPU


def _kernels(n: int) -> list[Backend]:
    """The CUDA backends that can solve n x n, the one expected to be faster first."""
    return ["cuda-fused", "cuda"] if native.module().fused_fits(n, n) else ["cuda"]


def _gpu_names(batch: int, n: int, threads: int, seed: int) -> list[tuple[str, str]]:
    unfused = ["unfused"] if len(_kernels(n)) > 1 else []
    scipy = _scipy(batch, n, seed) if n <= 4000 else []  # 8,000 take more than half a minute per call
    peers = ["eager", *unfused, "bmm", "cpp", *scipy, *(["lapx"] if lapx_batch() else [])]
    return [("call", name) for name in ("ours", *peers)]


def _gpu_contenders(seed: int, batch: int, n: int, threads: int) -> Contenders:
    """Ours replays a captured graph, fused where it fits; "eager" is the plain call, "bmm" only the product."""
    import torch

    p, t = (torch.from_numpy(x).to("cuda") for x in instances.clip_like(seed, batch, n, n))
    check_backends.require_same(p, t, _kernels(n))
    host = torch.empty((batch, n, n)).pin_memory()
    lapjvr = lapx_batch()
    best = _kernels(n)[0]

    def similarity() -> Any:
        host.copy_(torch.bmm(p, t.mT).neg_())
        return host.numpy()

    def copy_back(columns: Any) -> None:
        torch.from_numpy(np.stack(columns)).cuda()

    return {
        ("call", "ours"): _replayed(lambda: match(p, t, backend=best)),
        ("call", "eager"): _synchronised(lambda: match(p, t, backend=best)),
        ("call", "unfused"): _replayed(lambda: match(p, t, backend="cuda")),
        ("call", "bmm"): _replayed(lambda: torch.bmm(p, t.mT)),
        ("call", "cpp"): _synchronised(lambda: match(p, t, backend="cpp", threads=threads)),
        ("call", "scipy"): lambda: copy_back([linear_sum_assignment(one)[1] for one in similarity()]),
        ("call", "lapx"): lambda: (
            copy_back(lapjvr(similarity(), return_cost=False, n_threads=threads)[1]) if lapjvr else None
        ),
    }


def _autotune_names(batch: int, n: int, threads: int, seed: int) -> list[tuple[str, str]]:
    return [("call", name) for name in (*_kernels(n), "cpp")]


def _autotune_contenders(seed: int, batch: int, n: int, threads: int) -> Contenders:
    """Plain calls, as `auto` chooses between."""
    import torch

    p, t = (torch.from_numpy(x).to("cuda") for x in instances.clip_like(seed, batch, n, n))
    check_backends.require_same(p, t, _kernels(n))

    def call(backend: Backend) -> Run:
        return _synchronised(lambda: match(p, t, backend=backend, threads=threads))

    backends: list[Backend] = [*_kernels(n), "cpp"]
    return {("call", name): call(name) for name in backends}


def _synchronised(run: Run) -> Run:
    import torch

    def wait() -> None:
        run()
        torch.cuda.synchronize()

    return wait


def _replayed(run: Run) -> Run:
    """`run` as a CUDA graph, captured at the first call."""
    import torch

    captured: list[Any] = []

    def replay() -> None:
        if not captured:
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call, unused-ignore]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                run()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                result = run()
            captured.extend((graph, result))
        captured[0].replay()
        torch.cuda.synchronize()

    return replay


KINDS = {
    "cpu": CaseKind("cpu", _cpu_names, _cpu_contenders),
    "cuda": CaseKind("cuda", _gpu_names, _gpu_contenders),
    "autotune": CaseKind("cuda", _autotune_names, _autotune_contenders),
}


def lapx_batch() -> Callable[..., Any] | None:
    """lapx's strongest batch solver, or None where it is not installed."""
    try:
        from lap import lapjvr_batch
    except ImportError:
        return None
    solve: Callable[..., Any] = lapjvr_batch
    return solve
