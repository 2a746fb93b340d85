"""`match` and `assign`: check the input, choose a backend, and return arrays of the same kind (numpy or torch)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError, unknown_name
from harness.matching.backends import BACKENDS, Backend, assign_on_cpu, match_on_cpu
from harness.matching.result import Matching, to_matching

if TYPE_CHECKING:
    import torch

MAX_THREADS = 2**31 - 1
"""The largest number that the native module accepts; it starts only as many threads as there is work for."""


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
            (`harness.matching.autotune`; the CPU where there is none); the others force one.
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
        from harness.matching import torch_op  # imports torch, which numpy users may not need

        return to_matching(*torch_op.run(prototypes, names, backend, threads), single)
    return to_matching(*match_on_cpu(prototypes, names, backend, threads), single)


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
    single = similarity.ndim == 2
    return to_matching(*assign_on_cpu(similarity[None] if single else similarity, backend, threads), single)


def _is_tensor(x: object) -> bool:
    torch = sys.modules.get("torch")  # a tensor exists only if torch is imported
    return torch is not None and isinstance(x, torch.Tensor)


def _check_options(backend: str, threads: int | None) -> None:
    if backend not in BACKENDS:
        raise unknown_name("matching backend", str(backend), BACKENDS)
    if threads is None:
        return
    if not isinstance(threads, (int, np.integer)) or not 1 <= threads <= MAX_THREADS:
        wanted = f"a whole number from 1 to {MAX_THREADS}, or None for all cores"
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
