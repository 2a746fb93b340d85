"""`torch.ops.harness.match`: matching as a torch operator, so that torch.compile can keep it in its graph.

Imported when the first tensor arrives: this module imports torch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import UserError
from harness.matching import door


def run(
    prototypes: Tensor, names: Tensor, backend: str, threads: int
) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], str]:
    """Checked batches through the operator; also which backend it was. 0 threads: all cores."""
    used = choose(prototypes, names, backend)
    return torch.ops.harness.match(prototypes.detach(), names.detach(), used, threads), used


def choose(prototypes: Tensor, names: Tensor, backend: str) -> str:
    """The backend for these tensors: what was forced if it can be had, the fastest otherwise."""
    if prototypes.is_cuda and backend in ("cuda", "cuda-fused"):
        raise UserError(f"backend {backend!r} is not built", "use backend='auto'")
    return door._cpu_backend(backend)


@torch.library.custom_op("harness::match", mutates_args=())
def _match(prototypes: Tensor, names: Tensor, backend: str, threads: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    p, t = (x.to("cpu", torch.float32).numpy() for x in (prototypes, names))
    found, _ = door.solve_on_cpu(p, t, backend, threads)
    columns, similarity, gap, valid = (torch.from_numpy(array).to(prototypes.device) for array in found)
    return columns, similarity, gap, valid


@_match.register_fake
def _(prototypes: Tensor, names: Tensor, backend: str, threads: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, n, _ = prototypes.shape
    total = prototypes.new_empty((batch,), dtype=torch.float64)
    columns = prototypes.new_empty((batch, n), dtype=torch.int64)
    return columns, total, torch.empty_like(total), torch.empty_like(total, dtype=torch.bool)
