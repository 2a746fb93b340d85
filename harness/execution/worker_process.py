"""One worker process as its supervisor sees it: what it sends and prints, and whether it keeps its limits."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Collection
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

from harness.errors import StorageError, one_line
from harness.execution import confinement, fork_server, messages, worker_main
from harness.execution.cgroups import CGROUP, make_group
from harness.execution.jobs import LARGEST_TRACE, FailureKind, JobFailure, Limits
from harness.execution.output import FLOOD_BYTES, Output
from harness.execution.process_tree import descendants, end, uses_more_than

START_SECONDS = 600.0
"""Making a worker (loading a backbone) may take so long, where jobs have a limit; it is not the job's time."""

SEND_SECONDS = 60.0
"""An idle worker takes its next job within this time."""

POLL_SECONDS = 0.05
"""Time between two looks at a job with limits."""

LONGEST_STEP = 10.0
"""Seconds between two looks that count at most: if there were more, the whole run was suspended, as by Slurm."""


class WorkerProcess:
    """A process that was started, and the job that it runs, if any.

    Attributes:
        number: of the job.
        group: of the jobs that it may run.
        output: what the process prints, if it is captured.
        isolation: what holds the process, once it said so.
    """

    def __init__(self, make_worker: bytes, limits: Limits, group: str, captured: bool) -> None:
        self.number: int | None = None
        self.group = group
        self.output: Output | None = None
        self.isolation = ""
        self._limits = limits
        self._job: bytes | None = None
        self._ready = False
        self._inbox = messages.Inbox()
        self._seen = self._next_look = time.monotonic()
        self._spent = 0.0
        context = fork_server.context()
        self._channel, channel = socket.socketpair()
        self._channel.settimeout(SEND_SECONDS)
        to_output = None
        if captured:
            source, to_output = context.Pipe(duplex=False)
            self.output = Output(source)
        self._folder = None if limits.sandbox is None else _own_folder()
        enter = self._group = None
        if limits.sandbox is not None and self._folder is not None:
            tasks = 4 * (limits.processes + (os.cpu_count() or 1))  # the kernel counts threads too
            self._group = make_group(limits.memory, tasks) if limits.sandbox.strict else None
            enter = partial(confinement.enter, limits.sandbox, self._folder, limits.memory, tasks, self._group)
        self._process = context.Process(
            target=worker_main.main, args=(channel, to_output, make_worker, dict(os.environ), enter)
        )
        try:
            with channel, to_output or contextlib.nullcontext():
                fork_server.start(self._process)
        except StorageError:
            self._close()
            raise

    @property
    def sources(self) -> list[object]:
        """What ``multiprocessing.connection.wait`` can wait for."""
        sources: list[object] = [self._channel, self._process.sentinel]
        return [*sources, self.output.source] if self.output is not None and self.output.open else sources

    def take(self, number: int, job: bytes) -> None:
        """Run a job, as soon as the worker is made."""
        self.number, self._job = number, job
        self._seen, self._spent = time.monotonic(), 0.0
        if self._ready:
            self._send()

    def look(self, ready: Collection[object]) -> bytes | JobFailure | None:
        """The result of the job or why it has none; None while it is running.

        Args:
            ready: those of the sources that have something to read.
        """
        if self.output is not None and self.output.source in ready:
            self.output.read()
        if self._channel in ready:
            open_still = self._inbox.read(self._channel)
            try:
                while (message := self._inbox.next()) is not None:
                    if (answer := self._answer(message)) is not None:
                        return answer
            except ValueError:
                return JobFailure("message", f"sent more than {messages.LARGEST / 2**30:.3g} GiB")
            if not open_still:
                return self._ending()
        elif self._process.sentinel in ready:
            return self._ending()
        return self._excess()

    def _send(self) -> None:
        job, self._job = self._job, None
        with contextlib.suppress(OSError):  # it was killed, as the next look will find
            messages.send(self._channel, messages.JOB, job or b"")

    def _answer(self, message: messages.Message) -> bytes | JobFailure | None:
        if message.kind == messages.ISOLATION and not self.isolation:
            self.isolation = message.content.decode()
            if self._group is not None and CGROUP not in self.isolation.split("+"):  # the kernel did not let it in
                self._group.remove()
                self._group = None
            return None
        if message.kind == messages.READY and self.isolation and not self._ready:
            self._ready, self._spent = True, 0.0
            self._send()
            return None
        if message.kind == messages.DONE and self._ready:
            return message.content
        if message.kind in (messages.FAILED, messages.ENDED):
            reason, _, trace = message.content.decode(errors="backslashreplace").partition("\n")
            kind: FailureKind = "ended" if message.kind == messages.ENDED else "raised" if self._ready else "setup"
            return JobFailure(kind, one_line(reason), trace[-LARGEST_TRACE:])
        return JobFailure("message", "sent something that is not a result")

    def _ending(self) -> JobFailure:
        self._process.join(1)
        code = self._process.exitcode
        if self._group is not None and self._group.ran_out_of_memory():
            return self._too_much_memory()
        if code is None:
            return JobFailure("ended", "closed the connection of its process")
        if code >= 0:
            return JobFailure("ended", f"ended its process with exit code {code}")
        names = {int(known): known.name for known in signal.Signals}
        hint = ", perhaps because memory ran out" if -code == signal.SIGKILL else ""
        return JobFailure("ended", f"was killed by {names.get(-code, f'signal {-code}')}{hint}")

    def _excess(self) -> JobFailure | None:
        now = time.monotonic()
        self._seen, self._spent = now, self._spent + min(now - self._seen, LONGEST_STEP)
        seconds, memory, processes = self._limits.seconds, self._limits.memory, self._limits.processes
        allowed = seconds if self._ready or seconds == math.inf else START_SECONDS
        if self._spent > allowed:
            return JobFailure("time", f"took longer than {allowed:g} seconds")
        if self.output is not None and self.output.floods:
            return JobFailure("output", f"printed more than {FLOOD_BYTES / 2**20:.0f} MiB")
        if min(memory, processes) < math.inf and now >= self._next_look:
            group, pid = self._group, self._process.pid
            pids = [pid or 0, *descendants(pid)] if group is None else group.pids()
            if len(pids) > processes:
                return JobFailure("processes", f"had more than {processes:.0f} processes")
            if group is None and memory < math.inf and uses_more_than(memory, pids):
                return self._too_much_memory()
            took = time.monotonic() - now
            self._next_look = now + max(POLL_SECONDS, 10 * took)  # measuring slows the process down
        return None

    def _too_much_memory(self) -> JobFailure:
        return JobFailure("memory", f"used more than {self._limits.memory / 2**30:.3g} GiB of memory")

    def end(self) -> bytes:
        """End the process with all that it started; returns the log."""
        if self._group is not None:
            self._group.kill()
        end(self._process, guarded=self._folder is not None)
        self._process.join()
        if self.output is not None:
            while not self.output.floods and wait([self.output.source], timeout=0) and self.output.read():
                pass
        self._close()
        return self.output.log() if self.output is not None else b""

    def _close(self) -> None:
        self._channel.close()
        if self.output is not None:
            self.output.source.close()
        if self._group is not None:
            self._group.remove()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _own_folder() -> Path:
    """A new folder for what a process writes.

    Raises:
        StorageError: there is no place for it.
    """
    try:
        return Path(tempfile.mkdtemp(prefix="harness-"))
    except OSError as error:
        raise StorageError(f"no folder for temporary files: {error}", "set TMPDIR to a folder with room") from None
