"""The functions for users: they check, choose a backend, and give back what was given (numpy or torch)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, overload

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError, unknown_name
from harness.matching import fallback, native
from harness.matching.record import Matching, record

if TYPE_CHECKING:
    import torch

Backend: TypeAlias = Literal["auto", "cuda-fused", "cuda", "cpp", "scipy"]
BACKENDS: tuple[str, ...] = get_args(Backend)
MOST_THREADS = 2**31 - 1
"""What the native module takes; it starts no more than there is work for."""


@overload
def match(
    prototypes: torch.Tensor, names: torch.Tensor, *, backend: Backend = "auto", threads: int | None = None
) -> Matching[torch.Tensor]: ...
@overload
def match(
    prototypes: NDArray[Any], names: NDArray[Any], *, backend: Backend = "auto", threads: int | None = None
) -> Matching[NDArray[Any]]: ...
def match(prototypes: Any, names: Any, *, backend: Backend = "auto", threads: int | None = None) -> Matching[Any]:
    """The one-to-one assignment of prototypes to names with maximum total cosine similarity.

    Exact and deterministic: cosines are rounded to int32 in units of 2^-28 by arithmetic that gives the same whole
    numbers on every device (`harness.matching.quantise`), and the assignment is optimal for these. Of several optima it
    is the one whose sequence of columns is lexicographically smallest; with more prototypes than names, the one whose
    sequence of prototypes, name by name, is. So backends, devices, thread counts and runs agree, ties included.

    Against real-valued cosines the total is at most 2 k e below the optimum, k = min(n, m). For the cosines of the rows
    as rounded, e = 2^-29; `harness.matching.quantise.error_bound` adds the worst that the rounding of rows can do.

    Rows need no normalisation; a zero row has cosine 0 with everything. Input gets no gradient.

    Args:
        prototypes: (b, n, d), or (n, d) for one problem; float32, float16, bfloat16 or float64 (taken as float32). Any
            strides; numpy, or torch on the CPU or a CUDA device.
        names: (b, m, d) or (m, d), of the same kind. n and m are free; either may be 0, and so may b.
        backend: "auto" chooses by device, by what was built, and for tensors on a device by a measured table
            (`harness.matching.crossover`; the CPU where there is none); the others force one.
        threads: for "cpp", how many at most; all usable cores when None. The result does not depend on it.

    Returns:
        Columns, totals, certificates and flags. The CUDA backends run on the current stream and nothing waits for them;
        "cpp" and "scipy" copy tensors on a device to the CPU and the results back, which waits.

    Raises:
        UserError: shapes, dtypes or devices that do not fit, or a backend that is not available.

    Source: Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment
    problems", Computing 38, 1987; for rectangles Crouse, "On implementing 2D rectangular assignment algorithms", 2016.
    """
    _check_options(backend, threads)
    torch_given = _is_tensor(prototypes)
    if torch_given != _is_tensor(names):
        raise UserError("prototypes and names are of two kinds, numpy and torch", "convert one of them")
    if not torch_given and not (isinstance(prototypes, np.ndarray) and isinstance(names, np.ndarray)):
        kind = type(prototypes if not isinstance(prototypes, np.ndarray) else names).__name__
        raise UserError(f"match takes numpy arrays or torch tensors, not {kind}")
    _check_shapes(prototypes.shape, names.shape)
    _check_types(prototypes, names)
    single = prototypes.ndim == 2
    if single:
        prototypes, names = prototypes[None], names[None]
    if torch_given:
        from harness.matching import operator

        return record(*operator.run(prototypes, names, backend, int(threads or 0)), single)
    return record(*solve_on_cpu(prototypes, names, backend, int(threads or 0)), single)


def assign(
    similarity: NDArray[np.int32], *, backend: Backend = "auto", threads: int | None = None
) -> Matching[NDArray[Any]]:
    """The second half of `match` alone, on the CPU: the assignment for similarities that are whole numbers already.

    Args:
        similarity: (b, n, m) or (n, m) int32, in units of 2^-28; above -2^31.
        backend: "auto", "cpp" or "scipy".
        threads: as for `match`.

    Raises:
        UserError: another shape or dtype, or a backend that is not available.
    """
    _check_options(backend, threads)
    if not isinstance(similarity, np.ndarray) or similarity.dtype != np.int32 or similarity.ndim not in (2, 3):
        raise UserError("similarity must be an int32 numpy array of shape (n, m) or (b, n, m)")
    used = cpu_backend(backend)
    batch = similarity[None] if similarity.ndim == 2 else similarity
    found = native.assign(batch, threads or native.usable_cores()) if used == "cpp" else fallback.assign(batch)
    return record(found, used, similarity.ndim == 2)


def solve_on_cpu(
    prototypes: NDArray[Any], names: NDArray[Any], backend: str, threads: int
) -> tuple[fallback.Solved, str]:
    """Checked batches through the C++ or scipy backend; also which it was. 0 threads: all usable cores."""
    used = cpu_backend(backend)
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, and is flagged as such
        p, t = prototypes.astype(np.float32, copy=False), names.astype(np.float32, copy=False)
    if used == "cpp":
        return native.match(p, t, threads or native.usable_cores()), used
    return fallback.match(p, t), used


def cpu_backend(backend: str) -> str:
    """The backend for what lies on the CPU."""
    if backend in ("cuda", "cuda-fused"):
        raise UserError(f"backend {backend!r} needs tensors on a CUDA device", "move them there, or use backend='auto'")
    if backend == "auto":
        return "cpp" if native.has_cpp() else "scipy"
    if backend == "cpp":
        native.module()
    return backend


def _is_tensor(x: object) -> bool:
    torch = sys.modules.get("torch")  # whoever has a tensor has imported torch
    return torch is not None and isinstance(x, torch.Tensor)


def _check_options(backend: str, threads: int | None) -> None:
    if backend not in BACKENDS:
        raise unknown_name("matching backend", str(backend), BACKENDS)
    if threads is None:
        return
    if not isinstance(threads, (int, np.integer)) or not 1 <= threads <= MOST_THREADS:
        wanted = f"a whole number from 1 to {MOST_THREADS}, or None for all cores"
        raise UserError(f"threads is {threads!r}; it must be {wanted}")


def _check_shapes(prototypes: tuple[int, ...], names: tuple[int, ...]) -> None:
    p, t = tuple(prototypes), tuple(names)
    if len(p) != len(t) or len(p) not in (2, 3):
        raise UserError(
            f"prototypes have shape {p} and names {t}; both must be (n, d) and (m, d), or (b, n, d) and (b, m, d)"
        )
    if p[-1] != t[-1]:
        raise UserError(
            f"prototypes have {p[-1]} dimensions and names {t[-1]}", "both must come from the same backbone"
        )
    if len(p) == 3 and p[0] != t[0]:
        raise UserError(
            f"{p[0]} batches of prototypes and {t[0]} of names", "expand the shared one: names.expand(b, -1, -1)"
        )


def _check_types(prototypes: Any, names: Any) -> None:
    if prototypes.dtype != names.dtype:
        raise UserError(f"prototypes are {prototypes.dtype} and names {names.dtype}", "convert one of them")
    known = ("float32", "float16", "bfloat16", "float64")
    if str(prototypes.dtype).removeprefix("torch.") not in known:
        raise UserError(f"match takes {', '.join(known)}, not {prototypes.dtype}")
    if not _is_tensor(prototypes):
        return
    if prototypes.device != names.device:
        raise UserError(f"prototypes are on {prototypes.device} and names on {names.device}", "move one of them")
    for tensor in (prototypes, names):
        if tensor.layout is not sys.modules["torch"].strided:
            raise UserError(f"match takes dense tensors, not {tensor.layout}", "convert them: tensor.to_dense()")
