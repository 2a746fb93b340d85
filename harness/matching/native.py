"""The compiled module: its only importing place."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError
from harness.matching.result import Solved

try:
    _module: Any = importlib.import_module("harness.matching._native")
except ImportError:
    _module = None


def has_cpp() -> bool:
    """Whether the C++ solver was built."""
    return _module is not None


def has_cuda() -> bool:
    """Whether the CUDA kernels were built, with or without a device."""
    return _module is not None and bool(_module.cuda)


def module() -> Any:
    """The compiled module.

    Raises:
        UserError: it was not built.
    """
    if _module is None:
        hint = "reinstall with a C++17 compiler, or let backend='auto' choose scipy"
        raise UserError("the native matching module is not built", hint)
    return _module


def sources() -> str | None:
    """sha256 over the sources that the module was built from, None without the module."""
    return str(_module.sources) if _module is not None else None


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def registers(most: int = 64) -> int:
    """Limit C++ to SIMD registers of at most `most` bytes, for tests; returns the width now used, in bytes.

    64 with AVX-512, 32 with AVX2, else 16. Results do not depend on it.
    """
    return int(module().limit_registers(most))


def match(prototypes: NDArray[np.float32], names: NDArray[np.float32], threads: int) -> Solved:
    """Match prototypes (b, n, d) with names (b, m, d) in C++."""
    return Solved(*module().match_cpu(prototypes, names, threads))


def assign(similarity: NDArray[np.int32], threads: int) -> Solved:
    """Assignments in C++ for similarities (b, n, m) in units of 2^-28."""
    return Solved(*module().assign_cpu(similarity, threads)[0])


def steps(similarity: NDArray[np.int32]) -> NDArray[np.int64]:
    """Rows scanned by the C++ solver for similarities (b, n, m): (b,), at most k^2 + 40 k, k = min(n, m)."""
    counts: NDArray[np.int64] = module().assign_cpu(similarity, 1)[1]
    return counts


def quantised_similarity(
    prototypes: NDArray[np.float32], names: NDArray[np.float32], threads: int, doubles_alone: bool = False
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """`harness.matching.quantise` in C++: similarities (b, n, m), and which problems are finite (b).

    `doubles_alone` uses float64 on processors that have something faster: the same numbers, for tests.
    """
    similarity, valid = module().quantise_cpu(prototypes, names, threads, doubles_alone)
    return similarity, valid
