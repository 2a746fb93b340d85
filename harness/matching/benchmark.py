"""Matching against its peers, side by side: the cases of `harness bench matching`, and what follows from the times.

pytest-benchmark takes the times (`harness.matching.timing`) of what `harness.matching.sides` lists.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from json import dumps, loads
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.matching.sides import KINDS

Case = tuple[str, int, int, int]
"""(kind, batch, n = m, threads)"""

SIZES = ((1, 113), (64, 113), (1, 1000), (16, 1000))
"""(batch, n = m) of the cases on the CPU."""

GPU_SIZES = (*SIZES, (9, 113), (512, 113), (132, 200), (1, 4000), (1, 8000))
"""(batch, n = m) of the cases on a CUDA device."""

CROSSOVER_SIZES = tuple(
    (batch, n)
    for batch in (1, 8, 64, 512)
    for n in (8, 16, 32, 64, 113, 160, 200, 224, 320, 500, 1000, 2000, 4000)
    if batch * n <= 16000
)
"""(batch, n = m) where the backends are compared with each other for `harness.matching.crossover`."""


@dataclass(frozen=True)
class BenchmarkRow:
    """One peer in one case: medians over seeds, in milliseconds, and ratios peer / ours (above 1: ours is faster)."""

    part: str
    device: str
    batch: int
    n: int
    threads: int
    peer: str
    ours_ms: float
    peer_ms: float
    ratio: float
    worst: float

    @property
    def key(self) -> str:
        """What a floor refers to: one thread, or several, as many as the machine has."""
        threads = "one-thread" if self.threads == 1 else "threads"
        return f"{self.part}/{self.device}/{self.batch}x{self.n}/{threads}/{self.peer}"

    def to_json(self) -> dict[str, Any]:
        """Plain types, times with four digits."""
        return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in asdict(self).items()}


def run(cases: Sequence[Case], seeds: int, advance: Callable[[int], None]) -> dict[str, Any]:
    """pytest-benchmark's report on `harness.matching.timing`, run in one process; `advance` is told of each test.

    Raises:
        UserError: pytest-benchmark is not installed, or a side failed.
    """
    from importlib.util import find_spec

    if find_spec("pytest_benchmark") is None:
        raise UserError("the benchmark needs pytest-benchmark", 'pip install "laion-beyond-harness[bench]"')
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        file, report = Path(__file__).with_name("timing.py"), Path(folder, "report.json")
        (Path(folder) / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        plan = dumps({"cases": [list(case) for case in cases], "seeds": seeds})
        options = [
            "--verbose",  # a line for each test, by which they are counted
            "--import-mode=importlib",
            "--benchmark-only",
            f"--benchmark-json={report}",
            "-p",
            "no:cacheprovider",
            "-p",
            "pytest_benchmark.plugin",
        ]
        # Options and plugins of the caller's own tests are no part of this.
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        own |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONUNBUFFERED": "1", "HARNESS_BENCH_PLAN": plan}
        said: list[str] = []
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, str(file)],
            env=own,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                said.append(line)
                advance("PASSED" in line)
        if process.returncode != 0:
            raise UserError("a side of the benchmark failed", "".join(said[-30:]).strip())
        content: dict[str, Any] = loads(report.read_text(encoding="utf-8"))
    return content


def tests(cases: Sequence[Case], seeds: int) -> int:
    """How many tests `run` will have."""
    return seeds * sum(len(KINDS[kind].names(batch, n, threads)) for kind, batch, n, threads in cases)


def medians(report: dict[str, Any]) -> dict[tuple[Any, ...], dict[str, dict[int, float]]]:
    """(part, device, batch, n, threads) -> side -> seed -> median in milliseconds."""
    times: dict[tuple[Any, ...], dict[str, dict[int, float]]] = {}
    for one in report["benchmarks"]:
        case = one["extra_info"]
        key = tuple(case[name] for name in ("part", "device", "batch", "n", "threads"))
        times.setdefault(key, {}).setdefault(case["side"], {})[case["seed"]] = 1000 * one["stats"]["median"]
    return times


def rows(report: dict[str, Any]) -> Iterator[BenchmarkRow]:
    """Ours against each peer, seed by seed."""
    for (part, device, batch, n, threads), sides in medians(report).items():
        ours = sides["ours"]
        for peer, theirs in sides.items():
            if peer == "ours":
                continue
            ratios = [theirs[seed] / ours[seed] for seed in ours]
            yield BenchmarkRow(
                part,
                device,
                batch,
                n,
                threads,
                peer,
                ours_ms=statistics.median(ours.values()),
                peer_ms=statistics.median(theirs.values()),
                ratio=statistics.median(ratios),
                worst=min(ratios),
            )
