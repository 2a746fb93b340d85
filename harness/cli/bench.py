"""``harness bench``: where this machine stands."""

from __future__ import annotations

import json
import platform
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.cli import console
from harness.errors import UserError
from harness.files import storage_error, write_atomic
from harness.matching import benchmark, native

SCHEMA = 1


def bench_matching(check: bool, json_out: Path | None, seeds: int = 20, threads: int | None = None) -> int:
    """Time matching against lapx and scipy, print the ratios, and keep them as JSON if asked to.

    Args:
        check: compare the ratios with the committed floors.
        json_out: the file to write; None writes none.
        seeds: instances per case.
        threads: of the cases with several; all usable cores when None. Cases with one thread always run.

    Returns:
        0, or 3 when `check` found a ratio below its floor.

    Raises:
        UserError: the native module is not built, or `check` lacks a peer.
    """
    native.module()
    if check and benchmark.lapx_batch() is None:
        raise UserError("--check needs lapx to compare with", 'pip install "laion-beyond-harness[bench]"')
    rows = _measure(seeds, threads or native.usable_cores())
    floors = _floors() if check else {}
    below = [row for row in rows if row.ratio < floors.get(row.key, 0.0)]
    _show(rows, floors)
    if json_out:
        _write(json_out, rows, seeds)
    for row in below:
        console.err().print(f"below its floor: {row.key}: {row.ratio:.2f} < {floors[row.key]:.2f}", markup=False)
    return 3 if below else 0


def _measure(seeds: int, threads: int) -> list[benchmark.Row]:
    import torch

    cases: list[tuple[Any, str, int, int, int]] = [
        (benchmark.cpu_sides, "cpu", batch, n, count)
        for batch, n in benchmark.SIZES
        for count in sorted({1, threads if batch > 1 else 1})
    ]
    if torch.cuda.is_available() and native.has_cuda():
        cases += [(benchmark.gpu_sides, "cuda", batch, n, threads) for batch, n in benchmark.GPU_SIZES]
    rows: list[benchmark.Row] = []
    with console.reporter().stage("timing", len(cases), "cases") as advance:
        for case in cases:
            rows += benchmark.measure(*case, seeds)
            advance(1)
    return rows


def _floors() -> dict[str, float]:
    """The committed floors: key of a row -> least ratio."""
    text = resources.files("harness.matching").joinpath("floors.json").read_text(encoding="utf-8")
    floors: dict[str, float] = json.loads(text)["floors"]
    return floors


def _show(rows: list[benchmark.Row], floors: dict[str, float]) -> None:
    columns = ["part", "device", "peer", "b", "n", "threads", "ours ms", "peer ms", "ratio", "worst", "floor"]
    cells = []
    for row in rows:
        case = [row.part, row.device, row.peer, str(row.batch), str(row.n), str(row.threads)]
        figures = [f"{row.ours_ms:.3f}", f"{row.peer_ms:.3f}", f"{row.ratio:.2f}", f"{row.worst:.2f}"]
        cells.append([*case, *figures, f"{floors[row.key]:.2f}" if row.key in floors else ""])
    title = "matching: medians over seeds; ratio = peer / ours, above 1 ours is faster"
    console.out().print(console.table(title, columns, cells, left=3))


def _write(path: Path, rows: list[benchmark.Row], seeds: int) -> None:
    packages = {name: version(name) for name in ("numpy", "scipy", "torch", "lapx") if _installed(name)}
    content = {
        "schema": SCHEMA,
        "benchmark": "matching",
        "instances": "clip_like",
        "seeds": seeds,
        "machine": {"cpu": _cpu_model(), "cores": native.usable_cores(), "gpu": _gpu_model()},
        "versions": {"harness": version("laion-beyond-harness"), "python": platform.python_version(), **packages},
        "rows": [row.to_json() for row in rows],
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise storage_error("the benchmark", path, error, "choose another file with --json-out") from error


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
