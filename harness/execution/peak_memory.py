"""Measures the peak memory of a piece of work."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def start_measuring(device: torch.device) -> None:
    """Reset the peaks of earlier work in this process."""
    with contextlib.suppress(OSError):  # not Linux: the peak is that since the process started
        _RESET.write_text("5")
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def peaks(device: torch.device) -> tuple[int | None, int | None]:
    """Peak bytes since the start: resident in this process, and allocated by torch on the GPU (None if unknown)."""
    gpu = None
    if device.type == "cuda":
        import torch

        gpu = int(torch.cuda.max_memory_allocated(device))
    return _resident(), gpu


def _resident() -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
