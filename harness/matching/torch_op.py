"""`torch.ops.harness.match`: matching as a torch operator, so that torch.compile can keep it in its graph.

Imported when the first tensor arrives: this module imports torch.

State of the CUDA kernels: they compile for sm_80, sm_90 and PTX, and the tests run them on an emulator of the CPU,
with checks for races and memory (tests/matching/test_kernels.py); they have not yet been seen on a GPU. "auto" takes
them where a measured table says that they are faster (`harness.matching.crossover`); none has been measured yet.
"""

from __future__ import annotations

from functools import cache
from operator import index

import torch
from torch import Tensor

from harness.errors import UserError
from harness.matching import crossover, door, native

MAX_SIDE = 16384
"""Of a matrix that "cuda" takes; above, its room and its time are beyond what it was designed for."""

MAX_DIMENSION = 32768
"""The largest whose sums of int8 products fit int32."""

Found = tuple[Tensor, Tensor, Tensor, Tensor]
TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}


def run(prototypes: Tensor, names: Tensor, backend: str, threads: int) -> tuple[Found, str]:
    """Checked batches through the operator; also which backend it was. 0 threads: all cores."""
    used = choose(prototypes, names, backend)
    return torch.ops.harness.match(prototypes.detach(), names.detach(), used, threads), used


def choose(prototypes: Tensor, names: Tensor, backend: str) -> str:
    """The backend for these tensors: what was forced if it can be had, else by device and size."""
    if not prototypes.is_cuda or backend in ("cpp", "scipy"):
        return door.cpu_backend(backend)
    (batch, n, dimension), m = prototypes.shape, names.shape[1]
    # under torch.compile, index() turns a size that may vary into the plain number of this shape
    used: str = _choose_on_device(index(batch), index(n), index(m), index(dimension), prototypes.get_device(), backend)
    return used


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator, unused-ignore]
def _choose_on_device(batch: int, n: int, m: int, dimension: int, device: int, backend: str) -> str:
    """`choose` for tensors on a device; torch.compile asks once for each shape and keeps the answer."""
    if backend != "auto":
        if obstacle := _obstacle(n, m, dimension, device, backend):
            raise UserError(f"backend {backend!r} {obstacle}", "use backend='auto'")
        return backend
    for one in _table(torch.cuda.get_device_name(device)).fastest_first(batch, n, m):
        if one not in ("cuda", "cuda-fused") or _obstacle(n, m, dimension, device, one) is None:
            return one
    return door.cpu_backend("auto")


@cache
def _table(gpu: str) -> crossover.Crossover:
    return crossover.load(gpu)


def _obstacle(n: int, m: int, dimension: int, device: int, backend: str) -> str | None:
    """Why a CUDA backend cannot take such tensors on a device, or None."""
    if not native.has_cuda():
        return "was not built: no CUDA toolkit was found at installation"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"needs compute capability 8.0; {torch.cuda.get_device_name(device)} is older"
    if dimension > MAX_DIMENSION:
        return f"takes at most {MAX_DIMENSION} dimensions, not {dimension}"
    if max(n, m) > MAX_SIDE:
        return f"takes at most {MAX_SIDE} rows, not {max(n, m)}"
    try:
        with torch.cuda.device(device):
            fits = native.module().fused_fits(n, m)
    except RuntimeError as error:  # a driver older than the toolkit of the build, say
        return f"cannot run on {torch.cuda.get_device_name(device)}: {error}"
    if backend == "cuda-fused" and not fits:
        return f"needs {n} x {m} similarities in the shared memory of one block, and they do not fit"
    return None


@torch.library.custom_op("harness::match", mutates_args=())
def _match(prototypes: Tensor, names: Tensor, backend: str, threads: int) -> Found:
    if backend in ("cuda", "cuda-fused"):
        return _match_on_device(prototypes, names, backend)
    p, t = (x.to("cpu", torch.float32).numpy() for x in (prototypes, names))
    found, _ = door.solve_on_cpu(p, t, backend, threads)
    columns, similarity, gap, valid = (torch.from_numpy(array).to(prototypes.device) for array in found)
    return columns, similarity, gap, valid


def _empty(prototypes: Tensor, names: Tensor, backend: str, threads: int) -> Found:
    batch, n, _ = prototypes.shape
    similarity = prototypes.new_empty((batch,), dtype=torch.float64)
    columns = prototypes.new_empty((batch, n), dtype=torch.int64)
    return columns, similarity, torch.empty_like(similarity), torch.empty_like(similarity, dtype=torch.bool)


_match.register_fake(_empty)


def _match_on_device(prototypes: Tensor, names: Tensor, backend: str) -> Found:
    """The kernels, on the current stream of the tensors' device; all memory comes from torch's allocator."""
    (batch, n, dimension), m = prototypes.shape, names.shape[1]
    if min(n, m) == 0:  # nothing to launch; a problem without rows on one side is valid if the other side is finite
        other = names if n == 0 else prototypes
        zero = prototypes.new_zeros((batch,), dtype=torch.float64)
        valid = other.isfinite().flatten(1).all(dim=1) if other.numel() else zero == 0
        total = torch.where(valid, zero, torch.nan)
        return prototypes.new_full((batch, n), -1, dtype=torch.int64), total, total.clone(), valid
    kept = torch.float32 if prototypes.dtype == torch.float64 else prototypes.dtype
    p, t = prototypes.to(kept).contiguous(), names.to(kept).contiguous()
    found = _empty(p, t, backend, 0)
    with torch.cuda.device(p.device):
        stream = torch.cuda.current_stream().cuda_stream
        inputs = (p.data_ptr(), t.data_ptr(), TYPES[kept], batch, n, m, dimension)
        outputs = tuple(array.data_ptr() for array in found)
        if backend == "cuda-fused":
            native.module().match_fused(*inputs, *outputs, stream)
        else:
            room = native.module().workspace_bytes(batch, n, m)
            workspace = torch.empty(room, dtype=torch.uint8, device=p.device)
            native.module().match_large(*inputs, *outputs, workspace.data_ptr(), stream)
    return found
