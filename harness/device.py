"""The device that a run computes on: which one, what it is called, and what makes its numbers the same on every run."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.errors import HarnessError, StorageError, UserError, one_line, unknown_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WORKSPACE = ":4096:8"
"""Room of cuBLAS, as its documentation asks for results that are the same on every run (CUBLAS_WORKSPACE_CONFIG)."""


def require_torch() -> None:
    """See that torch can be imported: a second attempt gives another reason than the first, and so would every plugin.

    Raises:
        HarnessError: it cannot; a library that the system lacks, too little memory for its own, or no place for its
            compiler's files.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        raise StorageError("there is no folder for temporary files", "set TMPDIR to one that can be written") from None
    try:
        import torch  # noqa: F401
    except Exception as error:  # ImportError or OSError, by what is missing
        hint = "reinstall torch for this machine, or lift the process's limits (ulimit -a shows them)"
        raise HarnessError(f"torch cannot be imported: {one_line(error)}", hint) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU or the machine has no memory left; torch has a type for the GPU only."""
    import torch

    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def choose_device(wanted: str) -> str:
    """``cpu``, or a CUDA device with its number, as tensors on it say: ``cuda:0``.

    Args:
        wanted: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: there is no such device.
    """
    if wanted == "cpu":
        return "cpu"
    import torch

    there = torch.cuda.is_available()
    if wanted == "auto" and not there:
        return "cpu"
    if wanted != "auto" and not wanted.startswith("cuda"):
        raise UserError(f"no device named {wanted!r}", "use auto, cpu or cuda")
    if not there:
        raise UserError("this machine has no CUDA device that torch can use", "use --device cpu")
    if wanted in ("auto", "cuda"):
        return f"cuda:{torch.cuda.current_device()}"
    known = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if wanted not in known:
        raise unknown_name("device", wanted, ["cpu", "cuda", *known])
    return wanted


def device_name(device: str) -> str:
    """What it is called in a record: its kind and model, not its number."""
    if device == "cpu":
        return f"cpu ({platform.machine()})"
    import torch

    return f"cuda ({torch.cuda.get_device_name(device)})"


def configure_determinism(device: torch.device, precision: str) -> None:
    """Let a CUDA device compute the same bits on every run, and as precisely as the run says; the CPU does so always.

    These are settings of the process. An operation that has no deterministic form raises, with torch's own sentence.
    TF32 is a setting of matrix products and, on by default, of convolutions: a patch embedding is one.
    """
    if device.type != "cuda":
        return
    import torch

    os.environ["CUBLAS_WORKSPACE_CONFIG"] = WORKSPACE  # read when cuBLAS begins, with the first product
    torch.cuda.set_device(device)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # it would choose algorithms by the clock
    products = torch.backends.cuda.matmul
    products.allow_bf16_reduced_precision_reduction = products.allow_fp16_reduced_precision_reduction = False
    products.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"


@contextmanager
def without_tf32() -> Iterator[None]:
    """Products of CUDA devices in fp32, whatever the run's precision."""
    import torch

    products, layers = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, layers.allow_tf32
    products.allow_tf32 = layers.allow_tf32 = False
    try:
        yield
    finally:
        products.allow_tf32, layers.allow_tf32 = before


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; the host waits for nothing, so a training step may do it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was asked for, as a clock must."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
