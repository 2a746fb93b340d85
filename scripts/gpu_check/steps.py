"""The steps of the check, the most valuable first: their commands, time limits, and what they measure."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

from gpu_check import figures
from gpu_check.context import ROOT, Context
from gpu_check.figures import Found

Commands = Callable[[Context], list[list[str]]]
Read = Callable[[Context, str], Found]
"""(context, output of the commands) -> figures."""


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: for ``--only``.
        group: line of the summary that it belongs to.
        limit: seconds.
        what: what it shows.
        commands: run one after the other, until one fails.
        read: the figures.
        needs_gpu: it cannot be rehearsed on a CPU.
        unless_hung: a group; where a step of it reached its limit this one would too, and is left out.
    """

    name: str
    group: str
    limit: float
    what: str
    commands: Commands
    read: Read
    needs_gpu: bool = False
    unless_hung: str | None = None


def pytest(*words: str) -> list[str]:
    """A pytest command on the tree's tests and the installed package; warnings of other versions do not fail it."""
    options = ["-v", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider"]
    always = ["--durations=5", "--continue-on-collection-errors"]
    return [sys.executable, "-m", "pytest", *options, "-W", "default", *always, *words]


def harness(*words: str) -> list[str]:
    """A command of the harness."""
    return [sys.executable, "-m", "harness", *words]


def module(name: str, *words: str) -> list[str]:
    """A module of this package."""
    return [sys.executable, "-m", f"gpu_check.{name}", *words]


def _tests(name: str) -> str:
    return str(ROOT / "tests" / name)


def _wheels(c: Context) -> list[list[str]]:
    return [module("wheels", *([str(c.wheels), str(c.site)] if c.wheels and c.site else []))]


def _build(c: Context) -> list[list[str]]:
    return [module("build", *([str(c.site)] if c.site else []))]


def _kernels(words: str) -> Commands:
    return lambda c: [pytest("-m", "gpu", _tests("matching/test_cuda.py"), "-k", words)]


def _sanitized(tool: str) -> Commands:
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    test = pytest("-m", "gpu", _tests("matching/test_cuda.py"), "-k", "sanitized")
    return lambda c: [[program, "--tool", tool, "--error-exitcode", "1", *test]]


def _device_tests(c: Context) -> list[list[str]]:
    return [pytest("-m", "gpu" if c.gpu else "not gpu and not slow", _tests("device"))]


def _matching(c: Context) -> list[list[str]]:
    words = ["--device", c.device, "--check", "--seeds", "1", "--json-out", str(c.out / f"matching_{c.device}.json")]
    return [harness("bench", "matching", *words)]


def _fsnl(file: str, modes: str) -> Commands:
    def commands(c: Context) -> list[list[str]]:
        which = ["-m", "gpu", "-k", f"real_size and {modes}"] if c.gpu else ["-k", "miniature-one"]
        words = [*which, "--benchmark-only", f"--benchmark-json={c.work / file}"]
        return [pytest(_tests("bench/test_bench_fsnl.py"), *words)]

    return commands


def _evaluate(c: Context) -> list[list[str]]:
    grid = ["--plugin", "zero_shot,fsnl,coop,tip_adapter,zsnl", "--domain", "Food", "--shots", "4"]
    data = ["--seeds", "1", "--data", str(c.work / "beyond-mini"), "--backbone", "beyond-mini"]

    def run(name: str, device: str) -> list[str]:
        places = ["--out", str(c.work / name), "--cache", str(c.work / f"{name}-cache")]
        return harness("evaluate", *grid, *data, "--device", device, *places)

    draw = harness("data", "miniature", "--out", str(c.work / "beyond-mini"))
    folders = [str(c.work / name) for name in ("first", "second", "cpu")]
    runs = [run("first", c.device), run("second", c.device), run("cpu", "cpu")]
    return [draw, *runs, module("compare_runs", *folders)]


def _encoding(c: Context) -> list[list[str]]:
    return [module("encoding", c.device, str(c.work / "encoding"), "512" if c.gpu else "8")]


def _output(read: Callable[[str], Found]) -> Read:
    return lambda c, output: read(output)


STEPS = (
    Step("machine", "machine", 60, "what is there", lambda c: [module("machine")], _output(figures.machine)),
    Step("wheels", "package", 60, "packages carried and missing", _wheels, _output(figures.missing)),
    Step("build", "package", 240, "the package of this tree, with CUDA", _build, _output(figures.said)),
    Step("kernels-fused", "kernels", 90, "small problems, bit by bit as the CPU", _kernels("fused"),
         _output(figures.tests), needs_gpu=True),
    Step("kernels-large", "kernels", 90, "all other kernels, bit by bit as the CPU", _kernels("not fused"),
         _output(figures.tests), needs_gpu=True),
    Step("device", "device", 120, "the harness on the device, as on the CPU", _device_tests, _output(figures.tests)),
    Step("autotune", "autotune", 90, "which backend is fastest, by size",
         lambda c: [harness("bench", "autotune", "--seeds", "3", "--out", str(c.out / "autotune.json"))],
         lambda c, _: figures.autotune(c.out / "autotune.json"), needs_gpu=True, unless_hung="kernels"),
    Step("matching", "matching", 120, "matching against its peers and floors", _matching,
         lambda c, _: figures.matching(c.out / f"matching_{c.device}.json"), unless_hung="kernels"),
    Step("fsnl", "fsnl", 60, "a step of FSNL at the real size: fp32, tf32, bf16", _fsnl("fsnl.json", "not compiled"),
         lambda c, _: figures.benchmark(c.work / "fsnl.json")),
    Step("racecheck", "sanitizer", 45, "races in shared memory", _sanitized("racecheck"),
         _output(figures.sanitizer), needs_gpu=True),
    Step("memcheck", "sanitizer", 45, "accesses out of bounds", _sanitized("memcheck"),
         _output(figures.sanitizer), needs_gpu=True),
    Step("evaluate", "evaluate", 100, "a small run, twice on the device and once on the CPU", _evaluate,
         _output(figures.runs)),
    Step("encoding", "encoding", 60, "images a second at 224 x 224", _encoding, _output(figures.encoding)),
    Step("fsnl-compiled", "fsnl", 90, "a step of FSNL at the real size: bf16 compiled",
         _fsnl("compiled.json", "compiled"), lambda c, _: figures.benchmark(c.work / "compiled.json"), needs_gpu=True),
    Step("synccheck", "sanitizer", 40, "barriers", _sanitized("synccheck"), _output(figures.sanitizer), needs_gpu=True),
    Step("initcheck", "sanitizer", 40, "reads of memory that was never written", _sanitized("initcheck"),
         _output(figures.sanitizer), needs_gpu=True),
)  # fmt: skip

PREPARATION = ("machine", "wheels", "build")
"""Steps that all others need: they run with any ``--only``, and are quick the second time."""

GROUPS = tuple(dict.fromkeys(step.group for step in STEPS))
