"""``python -m gpu_check.machine``: print as JSON what this machine is, and what is installed on it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

QUERY = "name,driver_version,memory.total,compute_cap,clocks.max.sm,clocks.max.memory,power.limit"
TOOLS = {"nvcc": -1, "compute-sanitizer": -1, "g++": 0}
"""Programs, and the line of ``--version`` that says which."""

PACKAGES = ("torch", "torchvision", "triton", "numpy", "open-clip-torch", "setuptools", "pybind11", "pytest", "pip")


def describe() -> dict[str, Any]:
    """GPU, tools, torch, processor and versions."""
    versions = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions() if d.metadata["Name"]}
    return {
        "gpu": _said(["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"])[0],
        "tools": {name: _said([name, "--version"])[line] for name, line in TOOLS.items()},
        "torch": _torch(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: versions[name] for name in PACKAGES if name in versions},
    }


def _torch() -> dict[str, Any]:
    import torch

    there = torch.cuda.is_available()
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "device": torch.cuda.get_device_name(0) if there else None,
        "capability": list(torch.cuda.get_device_capability(0)) if there else None,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _said(command: list[str]) -> list[str]:
    if shutil.which(command[0]) is None:
        return [""]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return [line for line in done.stdout.splitlines() if line.strip()] or [""]


if __name__ == "__main__":
    print(json.dumps(describe()))
    sys.exit(0)
