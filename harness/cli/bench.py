"""``harness bench``: benchmark matching on this machine."""

from __future__ import annotations

import json
import platform
import statistics
from dataclasses import dataclass, field
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.cli import console
from harness.device import require_torch
from harness.errors import UserError
from harness.files import require_writable, save, write_error
from harness.matching import autotune, native
from harness.matching.bench import contenders, measure

SCHEMA = 1
SEEDS, CHECK_SEEDS = 20, 5
"""Instances per case: for figures, and for a check, which takes less than a minute."""

WHAT, HINT = "the benchmark", "choose another file"


@dataclass(frozen=True)
class Standards:
    """What ratios and times are held to: harness/matching/bench/floors.json."""

    floors: dict[str, float] = field(default_factory=dict)
    """Key of a row -> least ratio."""

    prototype_ms: dict[str, float] = field(default_factory=dict)
    """Case on this GPU -> time of the prototype that the kernels replace; empty for another GPU."""

    goals: dict[str, float] = field(default_factory=dict)
    """Key of a row without its threads -> ratio that is hoped for; nothing fails below it."""

    def floor(self, row: measure.PeerRatio) -> float | None:
        """The least ratio of a row, or None."""
        return self.floors.get(row.key)

    def prototype(self, row: measure.PeerRatio) -> float | None:
        """The prototype's milliseconds in the case of a row, or None."""
        return self.prototype_ms.get(f"{row.batch}x{row.n}") if row.device == "cuda" else None

    def goal(self, row: measure.PeerRatio) -> float | None:
        """The ratio hoped for, or None."""
        return self.goals.get(f"{row.part}/{row.device}/{row.batch}x{row.n}/{row.peer}")

    def failures(self, rows: list[measure.PeerRatio]) -> list[str]:
        """Sentences on what is below its floor, or slower than the prototype."""
        below = [
            f"{row.key}: {row.ratio:.2f} < {floor:.2f}"
            for row in rows
            if (floor := self.floor(row)) is not None and row.ratio < floor
        ]
        slow = {
            f"{row.device} {row.batch} x {row.n}: {row.ours_ms:.3f} ms, the prototype took {limit:.3f} ms": None
            for row in rows
            if (limit := self.prototype(row)) is not None and row.ours_ms > limit
        }
        return [*below, *slow]


def bench_matching(
    check: bool,
    json_out: Path | None,
    seeds: int | None = None,
    threads: int | None = None,
    device: str | None = None,
) -> int:
    """Time matching against its peers under pytest-benchmark, print the ratios, and keep them as JSON if asked to.

    Args:
        check: compare the ratios with the committed floors.
        json_out: the file to write; None writes none.
        seeds: instances per case; 20 when None, and 5 for a check.
        threads: of the cases with several; all usable cores when None. Cases with one thread always run.
        device: "cpu" or "cuda"; None for the CPU, and the GPU where there is one.

    Returns:
        0, or 3 when `check` found a ratio below its floor.

    Raises:
        UserError: the native module is not built, there is no such device, or `check` lacks a peer.
    """
    native.module()
    threads, seeds = threads or native.usable_cores(), seeds or (CHECK_SEEDS if check else SEEDS)
    devices = _devices(device)
    if check and contenders.lapx_batch() is None:
        raise UserError("--check needs lapx to compare with", 'pip install "laion-beyond-harness[bench]"')
    if json_out:
        _check_place(json_out)
    rows = list(measure.ratios(_timed(_cases(devices, threads), seeds)))
    standards = _standards()
    _show(rows, standards)
    if json_out:
        _write(json_out, _report(rows, seeds))
    failures = standards.failures(rows) if check else []
    for sentence in failures:
        console.err().print(f"below its floor: {sentence}", markup=False)
    return 3 if failures else 0


def _devices(device: str | None) -> tuple[str, ...]:
    require_torch()
    import torch

    gpu = torch.cuda.is_available() and native.has_cuda()
    if device is None:
        return ("cpu", "cuda") if gpu else ("cpu",)
    if device not in ("cpu", "cuda"):
        raise UserError(f"no device named {device!r}", "cpu or cuda")
    if device == "cuda" and not gpu:
        why = "there is no CUDA device" if native.has_cuda() else "matching was built without CUDA"
        raise UserError(f"cannot measure on a GPU: {why}")
    return (device,)


def _cases(devices: tuple[str, ...], threads: int) -> list[measure.Case]:
    cases = [
        ("cpu", batch, n, count)
        for batch, n in measure.SIZES
        for count in sorted({1, threads if batch > 1 else 1})
        if "cpu" in devices
    ]
    return cases + [("cuda", batch, n, threads) for batch, n in measure.GPU_SIZES if "cuda" in devices]


def _timed(cases: list[measure.Case], seeds: int) -> dict[str, Any]:
    with console.reporter().stage("timing", measure.count_tests(cases, seeds), "runs") as advance:
        return measure.run(cases, seeds, advance)


def bench_autotune(out: Path | None, seeds: int = 5, threads: int | None = None) -> int:
    """Measure which backend is fastest for tensors on this GPU, by size, and store the result for `auto`.

    Args:
        out: the file to write; None is where `auto` looks for the user's own.
        seeds: instances per case.
        threads: of the CPU's backend; all usable cores when None.

    Raises:
        UserError: the native module is not built, or there is no GPU.
    """
    native.module()
    _devices("cuda")
    threads = threads or native.usable_cores()
    path = out or autotune.user_file()
    _check_place(path)
    report = _timed([("autotune", batch, n, threads) for batch, n in measure.AUTOTUNE_SIZES], seeds)
    timed = []
    for (_, _, batch, n, _), by_contender in measure.medians(report).items():
        taken = {name: float(f"{statistics.median(by.values()):.4g}") for name, by in by_contender.items()}
        timed.append(autotune.TimedCase(batch, n, taken))
    columns = ["b", "n", *(backends := ("cuda-fused", "cuda", "cpp")), "fastest"]
    cells = []
    for one in timed:
        figures = [f"{one.milliseconds[name]:.3f}" if name in one.milliseconds else "" for name in backends]
        cells.append([str(one.batch), str(one.n), *figures, one.fastest_first()[0]])
    console.out().print(console.table("matching on a GPU: milliseconds of a call, medians over seeds", columns, cells))
    _write(path, autotune.Timings(str(_gpu_model()), tuple(timed)).to_json())
    console.err().print(f"written to {path}", markup=False)
    return 0


def _standards() -> Standards:
    text = resources.files("harness.matching.bench").joinpath("floors.json").read_text(encoding="utf-8")
    content = json.loads(text)
    prototype = content["prototype"]
    return Standards(
        content["floors"], prototype["ms"] if prototype["gpu"] in (_gpu_model() or "") else {}, content["goals"]
    )


def _show(rows: list[measure.PeerRatio], standards: Standards) -> None:
    gpu = any(row.device == "cuda" for row in rows)
    columns = ["part", "device", "peer", "b", "n", "threads", "ours ms", "peer ms", "ratio", "worst", "floor"]
    columns += ["prototype ms", "goal"] if gpu else []
    cells = []
    for row in rows:
        case = [row.part, row.device, row.peer, str(row.batch), str(row.n), str(row.threads)]
        figures = [f"{row.ours_ms:.3f}", f"{row.peer_ms:.3f}", f"{row.ratio:.2f}", f"{row.worst:.2f}"]
        held = [standards.floor(row), *([standards.prototype(row), standards.goal(row)] if gpu else [])]
        cells.append([*case, *figures, *("" if limit is None else f"{limit:g}" for limit in held)])
    title = "matching: medians over seeds; ratio = peer / ours, above 1 ours is faster"
    console.out().print(console.table(title, columns, cells, left=3))


def _report(rows: list[measure.PeerRatio], seeds: int) -> dict[str, Any]:
    packages = ("numpy", "scipy", "torch", "lapx", "pytest-benchmark")
    return {
        "schema": SCHEMA,
        "benchmark": "matching",
        "instances": "clip_like",
        "seeds": seeds,
        "machine": {
            "cpu": _cpu_model(),
            "cores": native.usable_cores(),
            "register_bytes": native.registers(),
            "gpu": _gpu_model(),
        },
        "versions": {
            "harness": version("laion-beyond-harness"),
            "python": platform.python_version(),
            **{name: version(name) for name in packages if _installed(name)},
        },
        "rows": [row.to_json() for row in rows],
    }


def _check_place(path: Path) -> None:
    """Check that figures can be written, before they are measured."""
    require_writable(path.parent, WHAT, HINT)
    if path.is_dir():
        raise write_error(WHAT, path, OSError("is a directory"), HINT)


def _write(path: Path, content: dict[str, Any]) -> None:
    save(path, (json.dumps(content, indent=1) + "\n").encode(), WHAT, HINT)


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _gpu_model() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
