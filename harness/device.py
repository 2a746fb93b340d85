"""The compute device: selection, name, determinism settings and transfers."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, StorageError, UserError, one_line, unknown_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WORKSPACE = ":4096:8"
"""Workspace that cuBLAS needs for reproducible results, by its documentation (CUBLAS_WORKSPACE_CONFIG)."""


def require_torch() -> None:
    """Check that torch can be imported, before a plugin fails with a misleading error of a second attempt.

    Raises:
        HarnessError: the import fails: a missing system library, too little memory, or no folder for temporary files.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        raise StorageError("there is no folder for temporary files", "set TMPDIR to a writable folder") from None
    try:
        import torch  # noqa: F401
    except Exception as error:  # ImportError or OSError, depending on what is missing
        hint = "reinstall torch for this machine, or lift the process's limits (ulimit -a shows them)"
        raise HarnessError(f"torch cannot be imported: {one_line(error)}", hint) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the GPU or the host is out of memory; torch has a type for the GPU only."""
    import torch

    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def choose_device(wanted: str) -> str:
    """Resolve a device to ``cpu`` or a CUDA device with its number, such as ``cuda:0``.

    Args:
        wanted: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: the device does not exist.
    """
    if wanted == "cpu" or (wanted == "auto" and not _has_driver()):
        return "cpu"
    require_torch()
    import torch

    available = torch.cuda.is_available()
    if wanted == "auto" and not available:
        return "cpu"
    if wanted != "auto" and not wanted.startswith("cuda"):
        raise UserError(f"no device named {wanted!r}", "use auto, cpu or cuda")
    if not available:
        raise UserError("this machine has no CUDA device that torch can use", "use --device cpu")
    if wanted in ("auto", "cuda"):
        return f"cuda:{torch.cuda.current_device()}"
    known = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if wanted not in known:
        raise unknown_name("device", wanted, ["cpu", "cuda", *known])
    return wanted


def _has_driver() -> bool:
    """Whether there may be a GPU that torch can use; asks torch only if it is imported, which takes seconds."""
    if "torch" in sys.modules or Path("/dev/kfd").exists():  # AMD's driver
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def device_name(device: str) -> str:
    """The name of a device in records: its kind and model, not its number."""
    if device == "cpu":
        return f"cpu ({platform.machine()})"
    import torch

    return f"cuda ({torch.cuda.get_device_name(device)})"


def choose_devices(wanted: str) -> tuple[str, ...]:
    """Resolve one or more devices, comma-separated; several are CUDA devices of one model.

    Raises:
        UserError: one does not exist, or they differ.
    """
    found = tuple(choose_device(one.strip()) for one in wanted.split(","))
    if len(set(found)) < len(found):
        raise UserError(f"--device {wanted} names a device twice", "use --cells-per-device for several cells on one")
    names = [device_name(device) for device in found]
    for device, name in zip(found, names, strict=True):
        if name != names[0]:
            fault = f"{found[0]} is {names[0]}, and {device} is {name}: a run is on devices of one model"
            raise UserError(fault, "run them one after the other; finished cells are not run again")
    return found


def memory_of(device: str) -> int:
    """Bytes of memory of a CUDA device."""
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory)


def configure_determinism(device: torch.device, precision: str) -> None:
    """Make a CUDA device deterministic, with the run's precision; does nothing for the CPU, which always is.

    The settings are global. An operation without a deterministic form raises torch's own error. TF32 is set for
    matrix products and for convolutions (such as a patch embedding), where torch enables it by default.
    """
    if device.type != "cuda":
        return
    import torch

    os.environ["CUBLAS_WORKSPACE_CONFIG"] = WORKSPACE  # cuBLAS reads it at the first matrix product
    torch.cuda.set_device(device)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # it would choose algorithms by timing them
    products = torch.backends.cuda.matmul
    products.allow_bf16_reduced_precision_reduction = products.allow_fp16_reduced_precision_reduction = False
    products.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"


@contextmanager
def without_tf32() -> Iterator[None]:
    """Compute matrix products and convolutions of CUDA devices in fp32, whatever the run's precision."""
    import torch

    products, layers = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, layers.allow_tf32
    products.allow_tf32 = layers.allow_tf32 = False
    try:
        yield
    finally:
        products.allow_tf32, layers.allow_tf32 = before


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to the device without blocking the host."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all queued work, for example before reading a clock."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
