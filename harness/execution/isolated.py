"""Runs every cell in a process of its own, so that nothing a method does can end, hang or change the run.

The parent watches time, resident memory and output, and ends the process (with all that it started) when one exceeds
its limit. Memory is watched rather than limited by the system: torch and CUDA reserve address space that they never
use, so a limit on it (RLIMIT_AS) would refuse good methods. A very quick method can so take more for a moment.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

import psutil  # type: ignore[import-untyped]

from harness.errors import HarnessError
from harness.execution.contexts import ForkServer
from harness.execution.fork_server import end, lead_group
from harness.execution.parcel import Parcel
from harness.features.encode import one_thread_per_operation
from harness.prompts import Template
from harness.runner.cell import run_cell
from harness.runner.feature_provider import FeatureProvider
from harness.runner.plan import Job
from harness.types.cell import Cell, Failure

START_SECONDS = 600.0
"""Loading the backbone may take so long; it is not the method's time."""

FLOOD_BYTES = 16 * 2**20
"""A cell that prints more than this is ended."""

LOG_BYTES = 128 * 2**10
"""What is kept of a log: half from its beginning, half from its end."""

POLL_SECONDS = 0.05

LONGEST_STEP = 10.0
"""Seconds between two looks at a cell that count at most: in more the whole run was suspended, as by Slurm."""


@dataclass(frozen=True)
class Limits:
    """What one cell may take: seconds of fit and scores, and bytes of resident memory of all its processes."""

    seconds: float
    bytes: int


def limits(seconds: float, gib: float | None, at_once: int) -> Limits:
    """The limits of a cell; without a figure, the cells that run at the same time share 80 % of the memory."""
    return Limits(seconds, int(gib * 2**30 if gib is not None else 0.8 * psutil.virtual_memory().total / at_once))


def run_isolated(
    jobs: Sequence[Job], template: Template, make_provider: Callable[[], FeatureProvider], workers: int, limits: Limits
) -> Iterator[tuple[Cell, bytes]]:
    """Run jobs, ``workers`` at a time; cells come in the order they are finished, each with what it printed."""
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool:
        try:
            watched = [pool.submit(_Watch(job, limits, stop).run, template, make_provider) for job in jobs]
            for future in as_completed(watched):
                yield future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


class _Watch:
    """One cell's process, seen from the parent."""

    def __init__(self, job: Job, limits: Limits, stop: threading.Event) -> None:
        self._job = job
        self._limits = limits
        self._stop = stop
        self._seen, self._spent = time.monotonic(), 0.0
        self._allowed = START_SECONDS
        self._head, self._tail, self._printed = b"", b"", 0

    def run(self, template: Template, make_provider: Callable[[], FeatureProvider]) -> tuple[Cell, bytes]:
        """The cell, failed if the process ended without one, and its log."""
        context = ForkServer()
        results, to_parent = context.Pipe(duplex=False)
        output, to_log = context.Pipe(duplex=False)
        parcel = Parcel((self._job, template, make_provider))
        process = context.Process(target=_child, args=(parcel, to_parent, to_log))
        with results, output:
            process.start()
            to_parent.close()
            to_log.close()
            try:
                cell = self._watch(process, results, output)
            finally:
                end(process)
                process.join()
                self._drain(output)
        return cell, self._log()

    def _watch(self, process: multiprocessing.process.BaseProcess, results: Connection, output: Connection) -> Cell:
        message: list[bytes] = []
        sources: list[Connection | int] = [results, output, process.sentinel]
        while True:
            ready = wait(sources, timeout=POLL_SECONDS)
            if output in ready and not self._read(output):
                sources.remove(output)
            if results in ready:
                try:
                    message.append(results.recv_bytes())
                except (EOFError, OSError):
                    process.join(1)
                    return self._failed(self._ending(process))
                if message == [b"ready"]:
                    self._spent, self._allowed = 0.0, self._limits.seconds
                elif len(message) == 3:
                    return self._cell(message[1], message[2])
            elif process.sentinel in ready and output not in ready:  # the last words first
                return self._failed(self._ending(process))
            excess = self._excess(process)
            if excess is not None:
                return self._failed(excess)

    def _excess(self, process: multiprocessing.process.BaseProcess) -> str | None:
        if self._stop.is_set():
            return "the run was stopped"
        now = time.monotonic()
        self._seen, self._spent = now, self._spent + min(now - self._seen, LONGEST_STEP)
        if self._spent > self._allowed:
            return f"took longer than {self._allowed:g} seconds"
        if self._printed > FLOOD_BYTES:
            return f"printed more than {FLOOD_BYTES / 2**20:.0f} MiB"
        if _resident(process.pid) > self._limits.bytes:
            return f"used more than {self._limits.bytes / 2**30:.3g} GiB of memory"
        return None

    @staticmethod
    def _ending(process: multiprocessing.process.BaseProcess) -> str:
        code = process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"was killed by {name}" + (", perhaps because memory ran out" if name == "SIGKILL" else "")
        return f"ended its process with exit code {code}"

    def _failed(self, reason: str) -> Cell:
        name = self._job.spec.method.name
        return Cell(spec=self._job.spec, failure=Failure(kind="error", reason=f"{name} {reason}"))

    def _cell(self, text: bytes, answers: bytes) -> Cell:
        """The cell that the process sent; it ran foreign code, so it is not taken at its word for which cell it is."""
        try:
            cell = Cell.model_validate_json(text)
        except ValueError:
            return self._failed("sent something that is no cell")
        if cell.spec != self._job.spec:
            return self._failed("sent another cell's result")
        return cell.model_copy(update={"answers": answers}) if answers else cell

    def _read(self, output: Connection) -> bool:
        """Take what was printed; False at the end."""
        try:
            content = os.read(output.fileno(), 2**20)
        except OSError:
            return False
        self._printed += len(content)
        room = LOG_BYTES // 2 - len(self._head)
        self._head += content[:room]
        self._tail = (self._tail + content[room:])[-LOG_BYTES // 2 :]
        return bool(content)

    def _drain(self, output: Connection) -> None:
        while self._printed <= FLOOD_BYTES and output in wait([output], timeout=0) and self._read(output):
            pass

    def _log(self) -> bytes:
        left_out = self._printed - len(self._head) - len(self._tail)
        middle = f"\n[... {left_out:,} bytes left out ...]\n".encode() if left_out > 0 else b""
        return self._head + middle + self._tail


def _resident(pid: int | None) -> int:
    """Bytes of resident memory of a process and everything it started."""
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total


# -- in the cell's own process -----------------------------------------------------------------------------------------


def _child(
    parcel: Parcel[tuple[Job, Template, Callable[[], FeatureProvider]]], results: Connection, output: Connection
) -> None:
    lead_group()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    output.close()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # the last words before a crash are kept
    faulthandler.enable()
    job, template, make_provider = parcel.open()
    try:
        provider = make_provider()
    except HarnessError as error:
        results.send_bytes(b"ready")
        cell = Cell(spec=job.spec, failure=Failure(kind="error", reason=error.message))
    else:
        results.send_bytes(b"ready")
        with one_thread_per_operation(provider.device):
            cell = run_cell(job, template, provider)
        print(cell.trace or "", end="", file=sys.stderr, flush=True)  # into the log, after what the method printed
    results.send_bytes(cell.model_dump_json().encode())
    results.send_bytes(cell.predictions_content or b"")
