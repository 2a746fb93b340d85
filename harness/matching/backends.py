"""The backends, and those of the CPU for checked batches."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError
from harness.matching import native, scipy_reference
from harness.matching.result import Solved

Backend: TypeAlias = Literal["auto", "cuda-fused", "cuda", "cpp", "scipy"]
BACKENDS: tuple[str, ...] = get_args(Backend)


def choose_on_cpu(backend: str) -> str:
    """The backend for arrays on the CPU: the requested one, or the faster one of those built for "auto".

    Raises:
        UserError: the backend needs a device, or was not built.
    """
    if backend in ("cuda", "cuda-fused"):
        raise UserError(f"backend {backend!r} needs tensors on a CUDA device", "move them there, or use backend='auto'")
    if backend == "auto":
        return "cpp" if native.has_cpp() else "scipy"
    if backend == "cpp":
        native.module()
    return backend


def match_on_cpu(
    prototypes: NDArray[Any], names: NDArray[Any], backend: str, threads: int | None
) -> tuple[Solved, str]:
    """Match checked batches (b, n, d) and (b, m, d); also returns the backend used. None: all usable cores."""
    used = choose_on_cpu(backend)
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, and is flagged as such
        p, t = prototypes.astype(np.float32, copy=False), names.astype(np.float32, copy=False)
    if used == "cpp":
        return native.match(p, t, int(threads or native.usable_cores())), used
    return scipy_reference.match(p, t), used


def assign_on_cpu(similarity: NDArray[np.int32], backend: str, threads: int | None) -> tuple[Solved, str]:
    """Assignments for similarities (b, n, m); also returns the backend used. None: all usable cores."""
    used = choose_on_cpu(backend)
    if used == "cpp":
        return native.assign(similarity, int(threads or native.usable_cores())), used
    return scipy_reference.assign(similarity), used
