"""``harness doctor``: check the installation and say how to fix what is missing."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness import __version__
from harness.cli import console
from harness.device import require_torch
from harness.errors import HarnessError, one_line
from harness.folders import cache_root
from harness.registry import load, load_all
from harness.registry.entry_points import GROUPS

PACKAGES = ("torch", "open_clip_torch", "numpy", "scipy", "scikit-learn", "pluggy", "huggingface_hub", "safetensors")

Check = tuple[str, str, str, bool]


def checks(cache: Path | None) -> list[Check]:
    """What is checked, its state, what to do about it, and whether it is good enough to run."""
    return [
        ("harness", __version__, "", True),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", "", True),
        *(_package(name) for name in PACKAGES),
        _device(),
        _native(),
        *_gpu_matching(),
        *_sandboxes(),
        *_offered(cache_root(cache)),
        *_cache(cache_root(cache)),
        *_plugins(),
    ]


def show(checks: Sequence[Check], json: bool) -> int:
    """Print a table of checks; returns 1 if one fails."""
    if json:
        names = ("what", "state", "hint", "ok")
        console.document([dict(zip(names, line, strict=True)) for line in checks])
    else:
        rows = [(what, ("" if ok else "missing: ") + state, hint) for what, state, hint, ok in checks]
        console.out().print(console.table("", ("what", "state", "what to do"), rows, left=3))
    return 0 if all(ok for _, _, _, ok in checks) else 1


def _package(name: str) -> Check:
    try:
        return name, version(name), "", True
    except PackageNotFoundError:
        return name, "not installed", f"pip install {name}", False


def _device() -> Check:
    try:
        require_torch()
    except HarnessError as error:
        return "device", error.message, error.hint or "", False
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return "device", f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB; {cores} cores", "", True
    return "device", f"cpu, {cores} cores", "a CUDA device makes large backbones practical", True


def _native() -> Check:
    from harness.matching import native

    if not native.has_cpp():
        hint = "matching falls back to scipy; install a C++17 compiler, then reinstall"
        return "native module", "not built", hint, True
    registers = f"registers of {native.registers()} bytes"
    if native.has_cuda():
        return "native module", f"C++ and CUDA, {registers}", "", True
    hint = "for CUDA matching install the CUDA toolkit, then reinstall"
    return "native module", f"C++ only, {registers}", hint, True


def _gpu_matching() -> list[Check]:
    """Check GPU matching against the CPU and report the timings that "auto" uses; empty without a usable GPU."""
    try:
        require_torch()
    except HarnessError:
        return []
    import torch

    from harness.matching import autotune, check_backends, native

    if not (torch.cuda.is_available() and native.has_cuda()):
        return []
    what = "matching on the GPU"
    try:
        timings = autotune.load(torch.cuda.get_device_name(0))
    except HarnessError as error:
        return [(what, error.message, error.hint or "", False)]
    try:
        for batch in check_backends.problems():
            prototypes, names = (torch.from_numpy(rows).to("cuda") for rows in batch)
            check_backends.require_same(prototypes, names, ("cuda-fused", "cuda"))
    except HarnessError as error:
        return [(what, error.message, error.hint or "", True)]
    except RuntimeError as error:  # the device's own
        return [(what, f"fails: {one_line(error)}", "use backend='cpp', and report it", True)]
    if timings.cases:
        return [(what, f"agrees with the CPU; by size, from {len(timings.cases)} measured cases", "", True)]
    return [(what, "agrees with the CPU; not used: not measured on this model", "harness bench autotune", True)]


MISSING_PARTS = {
    "landlock": "plugins reach files or processes that they should not: Linux 6.12 or newer with Landlock prevents it",
    "ns": "plugins see other processes, and /dev/shm is shared: that needs user namespaces, which this machine refuses",
    "cgroup": "memory and processes are watched, and not limited by the kernel: that needs cgroup v2, delegated to "
    "this user with memory and pids (try `systemd-run --user --scope`)",
    "seccomp": "connections are not all refused: that needs Linux on x86-64 or ARM64",
}
"""What the lack of a part of a sandbox means."""


def _sandboxes() -> list[Check]:
    """What processes that run plugins may touch on this machine: by default, and with --isolate."""
    return [
        _sandbox("sandbox of plugins", strict=False, parts=("landlock",)),
        _sandbox("sandbox with --isolate", strict=True, parts=("landlock", "ns", "seccomp", "cgroup")),
    ]


def _sandbox(what: str, strict: bool, parts: tuple[str, ...]) -> Check:
    from harness.execution import sandbox_trial

    try:
        found = sandbox_trial.isolation(strict)
    except HarnessError as error:
        return what, error.message, error.hint or "", False
    there = found.split("+")
    hint = "; ".join(MISSING_PARTS[part] for part in parts if part not in there)
    if hint:
        return what, f"partly: {found}" if found != "process" else "none", hint, True
    meaning = "no network, writes in its own folder alone" if strict else "no labels, no results, no signals to others"
    return what, f"{found}: {meaning}", "", True


def _offered(cache: Path) -> list[Check]:
    """The default data set and its backbone's weights."""
    from harness.backbones.offered import offered_weights
    from harness.runner.data_source import DEFAULT_DATASET

    try:
        data = load("dataset", DEFAULT_DATASET).value
        drawn = os.access(cache / data.folder, os.F_OK)
        state = ("in the cache", "") if drawn else ("not in the cache yet", "prepared on first use")
        lines: list[Check] = [(f"data set {DEFAULT_DATASET}", *state, True)]
        weights = offered_weights(data.backbone, load("backbone", data.backbone).value.weights)
    except HarnessError as error:
        return [(f"default data set {DEFAULT_DATASET}", error.message, error.hint or "", False)]
    return [*lines, (f"backbone {data.backbone}", f"{weights.stat().st_size / 1e6:.1f} MB", "", True)]


def _cache(root: Path) -> list[Check]:
    from harness.feature_cache import contents

    there = next(p for p in (root, *root.absolute().parents) if os.access(p, os.F_OK))  # a folder in the way is none
    free = shutil.disk_usage(there).free
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    hint = "" if writable else "choose another folder with --cache or HARNESS_CACHE"
    lines: list[Check] = [("cache folder", f"{root}{'' if writable else ' cannot be written'}", hint, writable)]
    hint = "" if free > 2**30 else "less than 1 GiB; features and results need room"
    lines.append(("free disk", f"{free / 2**30:.1f} GiB", hint, free > 100 * 2**20))
    try:
        found = contents.list_encoders(root / "features")
        count, size = sum(e.images for e in found), sum(e.bytes for e in found)
        limit = contents.size_limit()
        state = f"{count:,} features of {len(found)} encoders, {size / 1e6:,.1f} of at most {limit / 1e6:,.0f} MB"
        lines.append(("feature cache", state, "", True))
    except HarnessError as error:
        lines.append(("feature cache", error.message, error.hint or "", False))
    return lines


def _plugins() -> list[Check]:
    found = {kind: load_all(kind) for kind in GROUPS}
    methods = ", ".join(plugin.name for plugin in found["method"][0])
    hint = "fix or uninstall that distribution; other plugins work"
    broken = [culprit for _, culprits in found.values() for culprit in culprits]
    return [
        ("methods", methods or "none", "", bool(methods)),
        *(("broken plugin", str(culprit), hint, True) for culprit in broken),
    ]
