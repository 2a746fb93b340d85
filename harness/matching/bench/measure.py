"""The cases of `harness bench matching` and `bench autotune`, their times, and ratios to other solvers.

pytest-benchmark runs `harness.matching.bench.timing`, which times what `harness.matching.bench.contenders` lists.
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
from harness.matching.bench.contenders import KINDS

Case = tuple[str, int, int, int]
"""(kind, batch, n = m, threads)"""

SIZES = ((1, 113), (64, 113), (1, 1000), (16, 1000))
"""(batch, n = m) of the cases on the CPU."""

GPU_SIZES = (*SIZES, (9, 113), (512, 113), (132, 200), (1, 4000), (1, 8000))
"""(batch, n = m) of the cases on a CUDA device."""

AUTOTUNE_SIZES = tuple(
    (batch, n)
    for batch in (1, 8, 64, 512)
    for n in (8, 16, 32, 64, 113, 160, 200, 224, 320, 500, 1000, 2000, 4000)
    if batch * n <= 16000
)
"""(batch, n = m) of the cases that compare the backends for `harness.matching.autotune`."""


@dataclass(frozen=True)
class PeerRatio:
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
        """The name of this ratio in floors.json, where any number of threads above one is `threads`."""
        threads = "one-thread" if self.threads == 1 else "threads"
        return f"{self.part}/{self.device}/{self.batch}x{self.n}/{threads}/{self.peer}"

    def to_json(self) -> dict[str, Any]:
        """Plain types, times with four digits."""
        return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in asdict(self).items()}


def run(cases: Sequence[Case], seeds: int, advance: Callable[[int], None]) -> dict[str, Any]:
    """Run `harness.matching.bench.timing` in one process; returns pytest-benchmark's report.

    `advance` is called after each line of output, with whether it reports a test.

    Raises:
        UserError: pytest-benchmark is not installed, or a contender failed.
    """
    from importlib.util import find_spec

    if find_spec("pytest_benchmark") is None:
        raise UserError("the benchmark needs pytest-benchmark", 'pip install "laion-beyond-harness[bench]"')
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        file, report = Path(__file__).with_name("timing.py"), Path(folder, "report.json")
        (Path(folder) / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        plan = dumps({"cases": [list(case) for case in cases], "seeds": seeds})
        options = [
            "--verbose",  # one line per test, which `advance` counts
            "--import-mode=importlib",
            "--benchmark-only",
            f"--benchmark-json={report}",
            "-p",
            "no:cacheprovider",
            "-p",
            "pytest_benchmark.plugin",
        ]
        # Without options and plugins of the caller's own tests.
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        own |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONUNBUFFERED": "1", "HARNESS_BENCH_PLAN": plan}
        output: list[str] = []
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, str(file)],
            env=own,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                output.append(line)
                advance("PASSED" in line)
        if process.returncode != 0:
            raise UserError("a contender of the benchmark failed", "".join(output[-30:]).strip())
        content: dict[str, Any] = loads(report.read_text(encoding="utf-8"))
    return content


def count_tests(cases: Sequence[Case], seeds: int) -> int:
    """The number of tests of `run`."""
    return sum(len(KINDS[kind].names(b, n, threads, seed)) for kind, b, n, threads in cases for seed in range(seeds))


def medians(report: dict[str, Any]) -> dict[tuple[Any, ...], dict[str, dict[int, float]]]:
    """(part, device, batch, n, threads) -> contender -> seed -> median in milliseconds."""
    times: dict[tuple[Any, ...], dict[str, dict[int, float]]] = {}
    for one in report["benchmarks"]:
        case = one["extra_info"]
        key = tuple(case[name] for name in ("part", "device", "batch", "n", "threads"))
        times.setdefault(key, {}).setdefault(case["contender"], {})[case["seed"]] = 1000 * one["stats"]["median"]
    return times


def ratios(report: dict[str, Any]) -> Iterator[PeerRatio]:
    """Ratios of each other solver's time to ours, seed by seed, for those on which it was timed."""
    for (part, device, batch, n, threads), contenders in medians(report).items():
        ours = contenders["ours"]
        for peer, theirs in contenders.items():
            if peer == "ours":
                continue
            by_seed = [time / ours[seed] for seed, time in theirs.items()]
            yield PeerRatio(
                part,
                device,
                batch,
                n,
                threads,
                peer,
                ours_ms=statistics.median(ours.values()),
                peer_ms=statistics.median(theirs.values()),
                ratio=statistics.median(by_seed),
                worst=min(by_seed),
            )
