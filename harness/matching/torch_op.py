"""`torch.ops.harness.match`: matching as a torch operator, which torch.compile leaves in its graph.

This module imports torch, so `harness.matching.api` imports it with the first tensor.

State of the CUDA kernels: they compile for sm_80, sm_90 and PTX, and the tests run them on a CPU emulator with checks
for races and memory errors (tests/matching/test_kernels.py); they have not run on a GPU yet. "auto" chooses them where
a measured table says that they are faster (`harness.matching.autotune`); none has been measured yet.
"""

from __future__ import annotations

from functools import cache
from operator import index

import torch
from torch import Tensor

from harness.errors import UserError
from harness.matching import autotune, native
from harness.matching.backends import choose_on_cpu, match_on_cpu

MAX_ROWS = 16384
"""Most prototypes or names for "cuda", which was not designed for the memory and time of larger matrices."""

MAX_DIMENSION = 32768
"""The largest dimension for which sums of int8 products fit int32."""

Arrays = tuple[Tensor, Tensor, Tensor, Tensor]
"""The fields of `harness.matching.Matching` with the batch axis."""


def run(prototypes: Tensor, names: Tensor, backend: str, threads: int | None) -> tuple[Arrays, str]:
    """Match checked batches by the operator; also returns the backend used. None: all usable cores."""
    used = choose(prototypes, names, backend)
    return torch.ops.harness.match(prototypes.detach(), names.detach(), used, int(threads or 0)), used


def choose(prototypes: Tensor, names: Tensor, backend: str) -> str:
    """The backend for these tensors: the requested one if available; for "auto", by device and size."""
    if not prototypes.is_cuda or backend in ("cpp", "scipy"):
        return choose_on_cpu(backend)
    (batch, n, dimension), m = prototypes.shape, names.shape[1]
    # under torch.compile, index() turns a size that may vary into the plain number of this shape
    used: str = _choose_on_device(index(batch), index(n), index(m), index(dimension), prototypes.get_device(), backend)
    return used


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator, unused-ignore]
def _choose_on_device(batch: int, n: int, m: int, dimension: int, device: int, backend: str) -> str:
    """`choose` for tensors on a device; torch.compile calls it once per shape."""
    if backend != "auto":
        if obstacle := _obstacle(n, m, dimension, device, backend):
            raise UserError(f"backend {backend!r} {obstacle}", "use backend='auto'")
        return backend
    for one in _timings(torch.cuda.get_device_name(device)).fastest_first(batch, n, m):
        if one not in ("cuda", "cuda-fused") or _obstacle(n, m, dimension, device, one) is None:
            return one
    return choose_on_cpu("auto")


@cache
def _timings(gpu: str) -> autotune.Timings:
    return autotune.load(gpu)


def _obstacle(n: int, m: int, dimension: int, device: int, backend: str) -> str | None:
    """Why a CUDA backend cannot take such tensors on a device, or None."""
    if not native.has_cuda():
        return "was not built: no CUDA toolkit was found at installation"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"needs compute capability 8.0; {torch.cuda.get_device_name(device)} is older"
    if dimension > MAX_DIMENSION:
        return f"takes at most {MAX_DIMENSION} dimensions, not {dimension}"
    if max(n, m) > MAX_ROWS:
        return f"takes at most {MAX_ROWS} rows, not {max(n, m)}"
    try:
        with torch.cuda.device(device):
            fits = native.module().fused_fits(n, m)
    except RuntimeError as error:  # a driver older than the toolkit of the build, say
        return f"cannot run on {torch.cuda.get_device_name(device)}: {error}"
    if backend == "cuda-fused" and not fits:
        return f"needs {n} x {m} similarities in the shared memory of one block, and they do not fit"
    return None


@torch.library.custom_op("harness::match", mutates_args=())
def _match(prototypes: Tensor, names: Tensor, backend: str, threads: int) -> Arrays:
    if backend in ("cuda", "cuda-fused"):
        return _match_on_device(prototypes, names, backend)
    p, t = (x.to("cpu", torch.float32).numpy() for x in (prototypes, names))
    found, _ = match_on_cpu(p, t, backend, threads)
    columns, similarity, gap, valid = (torch.from_numpy(array).to(prototypes.device) for array in found)
    return columns, similarity, gap, valid


def _empty(prototypes: Tensor, names: Tensor, backend: str, threads: int) -> Arrays:
    batch, n, _ = prototypes.shape
    similarity = prototypes.new_empty((batch,), dtype=torch.float64)
    columns = prototypes.new_empty((batch, n), dtype=torch.int64)
    return columns, similarity, torch.empty_like(similarity), torch.empty_like(similarity, dtype=torch.bool)


_match.register_fake(_empty)


def _match_on_device(prototypes: Tensor, names: Tensor, backend: str) -> Arrays:
    """Run the kernels on the current stream of the tensors' device; all memory comes from torch's allocator."""
    n, m = prototypes.shape[1], names.shape[1]
    if min(n, m) == 0:
        return _match_nothing(prototypes, names)
    dtype = torch.float32 if prototypes.dtype == torch.float64 else prototypes.dtype
    p, t = prototypes.to(dtype).contiguous(), names.to(dtype).contiguous()
    found = _empty(p, t, backend, 0)
    tensors = [p, t, *found]
    with torch.cuda.device(p.device):
        stream = torch.cuda.current_stream().cuda_stream
        if backend == "cuda-fused":
            native.module().match_fused(*map(_capsule, tensors), stream)
        else:
            size = native.module().workspace_bytes(len(p), n, m)
            workspace = torch.empty(size, dtype=torch.uint8, device=p.device)
            native.module().match_large(*map(_capsule, [*tensors, workspace]), stream)
    return found


def _capsule(tensor: Tensor) -> object:
    """The tensor as a DLPack capsule; -1: kernels run on the current stream, so no stream has to wait."""
    return tensor.__dlpack__(stream=-1)


def _match_nothing(prototypes: Tensor, names: Tensor) -> Arrays:
    """The result for no prototypes or no names: valid where the others are finite. Launches no kernel of ours."""
    (batch, n, _), others = prototypes.shape, names if prototypes.shape[1] == 0 else prototypes
    zero = prototypes.new_zeros((batch,), dtype=torch.float64)
    valid = others.isfinite().flatten(1).all(dim=1) if others.numel() else zero == 0
    total = torch.where(valid, zero, torch.nan)
    return prototypes.new_full((batch, n), -1, dtype=torch.int64), total, total.clone(), valid
