"""The only place that imports the compiled module, and the only one that knows addresses."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError
from harness.matching.fallback import Solved

try:
    _module: Any = importlib.import_module("harness.matching._native")
except ImportError:
    _module = None


def has_cpp() -> bool:
    """Whether the C++ solver was built."""
    return _module is not None


def has_cuda() -> bool:
    """Whether the CUDA kernels were built; says nothing about a device."""
    return _module is not None and bool(_module.cuda)


def module() -> Any:
    """The compiled module.

    Raises:
        UserError: it was not built.
    """
    if _module is None:
        hint = "reinstall where a C++17 compiler is at hand, or let backend='auto' choose scipy"
        raise UserError("the native matching module is not built", hint)
    return _module


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def registers(most: int = 64) -> int:
    """Let C++ use the processor's widest registers, but none above `most` bytes; how wide they are now, in bytes.

    64 with AVX-512, 32 with AVX2, else 16. Results are the same with all, which is why tests ask for fewer.
    """
    return int(module().limit_registers(most))


def match(prototypes: NDArray[np.float32], names: NDArray[np.float32], threads: int) -> Solved:
    """Match prototypes (b, n, d) with names (b, m, d) in C++."""
    p, t = np.ascontiguousarray(prototypes, dtype=np.float32), np.ascontiguousarray(names, dtype=np.float32)
    solved = Solved.empty(len(p), p.shape[1])
    shape = (p.shape[0], p.shape[1], t.shape[1], p.shape[2])
    module().match_cpu(p.ctypes.data, t.ctypes.data, *shape, threads, *(array.ctypes.data for array in solved))
    return solved


def assign(similarity: NDArray[np.int32], threads: int) -> Solved:
    """Assignment in C++ for similarities (b, n, m) that are already whole numbers."""
    s = np.ascontiguousarray(similarity, dtype=np.int32)
    solved = Solved.empty(len(s), s.shape[1])
    module().assign_cpu(s.ctypes.data, *s.shape, threads, *(array.ctypes.data for array in solved))
    return solved


def steps(similarity: NDArray[np.int32]) -> NDArray[np.int64]:
    """How many rows the C++ solver looked at for similarities (b, n, m), (b,); at most k^2 + 40 k, k = min(n, m)."""
    s = np.ascontiguousarray(similarity, dtype=np.int32)
    counts = np.zeros(len(s), dtype=np.int64)
    solved = Solved.empty(len(s), s.shape[1])
    module().assign_cpu(s.ctypes.data, *s.shape, 1, *(array.ctypes.data for array in solved), counts.ctypes.data)
    return counts


def quantised_similarity(
    prototypes: NDArray[np.float32], names: NDArray[np.float32], threads: int, doubles_alone: bool = False
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """What `harness.matching.quantise` computes, (b, n, m), in C++, and which problems are finite (b).

    `doubles_alone` keeps to float64 on processors that have something faster: the same numbers, for tests.
    """
    p, t = np.ascontiguousarray(prototypes, dtype=np.float32), np.ascontiguousarray(names, dtype=np.float32)
    out = np.empty((p.shape[0], p.shape[1], t.shape[1]), dtype=np.int32)
    valid = np.empty(len(p), dtype=np.bool_)
    module().quantise_cpu(
        p.ctypes.data,
        t.ctypes.data,
        *out.shape,
        p.shape[2],
        threads,
        doubles_alone,
        out.ctypes.data,
        valid.ctypes.data,
    )
    return out, valid
