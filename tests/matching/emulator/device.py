"""Builds and runs the emulator: a program that runs the CUDA kernels on the CPU."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from harness.matching.result import Solved

HERE = Path(__file__).parent
CSRC = HERE.parents[2] / "csrc"

COMMON = ["-O1", "-g1", "-std=c++17", "-pthread", "-Wall", "-Wno-unknown-pragmas", f"-I{HERE / 'include'}", f"-I{CSRC}"]
DEVICE = ["-x", "c++"]
BUILDS = {
    "plain": ([], []),
    "memory": (["-DEMULATOR_MEMORY"], ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O0"]),
    # volatile accesses are relaxed atomics in CUDA; scheduler.cpp implements the hooks for them
    "races": (["-DEMULATOR_RACES"], ["-fsanitize=thread", "--param=tsan-distinguish-volatile=1", "-O0"]),
}
"""Macros, and instrumentation of kernels (never of the scheduler); -O0, as it takes longer to compile than to run."""

PROGRAMS = {
    "matching": (
        [HERE / "scheduler.cpp", HERE / "main.cpp"],
        [CSRC / "cuda" / "match_small.cu", CSRC / "cuda" / "match_large.cu"],
    ),
    "faults": ([HERE / "scheduler.cpp"], [HERE / "faults.cu"]),
}
"""Sources of the host, and sources with kernels."""

ENVIRONMENT = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}


@cache
def usable(name: str) -> bool:
    """Whether one of `BUILDS` works here: an empty program compiles and starts with its options."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or shutil.which("g++") is None:
        return False
    with tempfile.TemporaryDirectory() as room:
        empty = ["g++", *BUILDS[name][1], "-x", "c++", "-", "-o", f"{room}/empty"]
        for command, text in ((empty, "int main() {}"), ([*prefix(name), f"{room}/empty"], "")):
            if subprocess.run(command, input=text, text=True, capture_output=True, check=False).returncode:
                return False
    return True


@dataclass(frozen=True)
class Launch:
    """One kernel launch, and its longest chain of synchronisations."""

    kernel: str
    blocks: int
    threads: int
    shared: int
    synchronisations: dict[str, int]
    """By name ("__syncthreads", "grid.sync", "__ballot_sync" ...): the maximum over blocks, grid and warps."""


class EmulatorError(Exception):
    """The emulator ended or refused a problem, with this message."""


def build(name: str, folder: Path, program: str = "matching") -> list[str]:
    """The command that runs one of `PROGRAMS` as one of `BUILDS`, compiled into `folder` unless it is there already."""
    sources = sorted(path for root in (HERE, CSRC) for path in root.rglob("*.*") if path.suffix != ".pyc")
    content = b"".join(path.read_bytes() for path in sources)
    digest = hashlib.sha256(content).hexdigest()[:16]
    target = folder / f"{program}-{name}-{digest}"
    defines, instrument = BUILDS[name]
    host, kernels = PROGRAMS[program]
    with FileLock(folder / f"{name}.lock"):
        if not target.exists():
            for old in folder.glob(f"*-{name}-*"):
                if not old.stem.endswith(digest):
                    old.unlink()
            jobs = {folder / f"{path.stem}-{name}-{digest}.o": [*defines, str(path)] for path in host}
            jobs |= {
                folder / f"{path.stem}-{name}-{digest}.o": [*defines, *instrument, *DEVICE, str(path)]
                for path in kernels
            }
            with ThreadPoolExecutor() as pool:  # programs of the same build share the scheduler
                list(pool.map(compiled, jobs, jobs.values()))
            partial = target.with_name(f"{target.name}.partial")
            call(["g++", "-no-pie", "-pthread", *instrument, *map(str, jobs), "-o", str(partial)])
            partial.replace(target)
    return [*prefix(name), str(target)]


def compiled(target: Path, job: list[str]) -> None:
    """Compile one source, unless it is there already."""
    if not target.exists():
        partial = target.with_suffix(".partial")
        call(["g++", *COMMON, *job, "-c", "-o", str(partial)])
        partial.replace(target)


@cache
def prefix(name: str) -> list[str]:
    """Start of a command: on some Linux kernels, ThreadSanitizer needs address randomisation switched off."""
    if name != "races" or shutil.which("setarch") is None:
        return []
    fixed = ["setarch", "-R"]
    return fixed if subprocess.run([*fixed, "true"], capture_output=True, check=False).returncode == 0 else []


def call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EmulatorError(f"{' '.join(command)}\n{done.stderr}")


class Emulator:
    """A device: a process that starts with the first problem, and again after one that ended it."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.end()

    def match(
        self,
        kernel: str,
        prototypes: NDArray[np.generic] | torch.Tensor,
        names: NDArray[np.generic] | torch.Tensor,
        *,
        offset: int = 0,
        processors: int = 2,
        cooperative: bool = True,
        shared_limit: int = 227 * 1024,
        seed: int = 1,
    ) -> tuple[Solved, list[Launch]]:
        """Match prototypes (b, n, d) with names (b, m, d), float32, float16 or bfloat16, by "fused" or "large".

        The inputs begin `offset` bytes after an aligned address; `shared_limit` is in bytes; `seed` decides the order
        in which threads run.

        Raises:
            EmulatorError: undefined behaviour of a GPU, a sanitizer's report, or a problem that does not fit.
        """
        p, t = (torch.as_tensor(side).contiguous() for side in (prototypes, names))
        (b, n, d), m = p.shape, t.shape[1]
        fields = (kernel, TYPES[p.dtype], b, n, m, d, offset, processors, int(cooperative), shared_limit, seed)
        sides = [(side.view(torch.int16) if side.dtype == torch.bfloat16 else side).numpy() for side in (p, t)]
        line = " ".join(map(str, fields)) + "\n"
        reply = json.loads(self.request(b"".join([line.encode(), *(side.tobytes() for side in sides)])))
        if "error" in reply:
            raise EmulatorError(reply["error"])
        solved = Solved.empty(b, n)
        for array in solved:
            array[...] = np.frombuffer(self.process.stdout.read(array.nbytes), array.dtype).reshape(array.shape)
        launches = []
        for launch in reply["launches"]:
            own = {key: launch.pop(key) for key in ("kernel", "blocks", "threads", "shared")}
            launches.append(Launch(**own, synchronisations=launch))
        return solved, launches

    def request(self, problem: bytes) -> bytes:
        if self.process is None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(self.command, stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT)
        try:
            self.process.stdin.write(problem)
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):
            raise EmulatorError(self.end() or "the emulator ended without a message")
        return line

    def end(self) -> str:
        """End the program and return its messages."""
        _, messages = self.process.communicate()
        self.process = None
        return messages.decode(errors="replace").strip()
