"""How processes start and end: without the caller's script, and never later than the process that started them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.context import SpawnProcess
from pathlib import Path

import executor_jobs as work
import psutil
import pytest

from harness.errors import StorageError
from harness.execution import fork_server
from harness.execution.executors import processes

SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
sys.path.append({folder!r})
import executor_jobs as work
from harness.execution import fork_server
from harness.execution.executors import isolated, processes
from harness.execution.jobs import Limits
print("runs", flush=True)
if {forked}:
    fork_server.start_server([])
"""

RUN = (
    SCRIPT
    + """
def start(job):
    return job
for executor in (processes, isolated):
    assert sorted(result.value for result in executor([1, 2, 3], work.make, Limits(2))) == [b"1", b"2", b"3"]
(result,) = processes([start], work.make, Limits(2))  # by value: a worker cannot import this script
print(result.value.decode())
assert sys.modules["__main__"].start is start
"""
)

WAIT = (
    SCRIPT
    + """
list({executor}([("leave processes", {log!r}, 60)] * 2, work.make, Limits(2)))
"""
)


def script(text: str, **given: object) -> str:
    return text.format(folder=str(Path(__file__).parent), **given)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has no safe path before 3.11")
def test_processes_import_nothing_from_the_working_directory(tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "harness").mkdir(parents=True)
    for name in ("harness/__init__.py", "random.py", "pickle.py"):
        (here / name).write_text("raise SystemExit('imported from the working directory')\n")
    file = tmp_path / "script.py"
    file.write_text(script(RUN, forked=True))
    ran = subprocess.run([sys.executable, file], cwd=here, capture_output=True, text=True, timeout=100, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("forked", [False, True])
def test_script_without_a_guard_runs_once(tmp_path: Path, forked: bool) -> None:
    file = tmp_path / "script.py"
    file.write_text(script(RUN, forked=forked))
    ran = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=100, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("runs\n")
    assert "<function start" in ran.stdout.splitlines()[1]
    assert len(ran.stdout.splitlines()) == 2


@pytest.fixture(params=["processes", "isolated"])
def waiting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A run in a new session whose two jobs sleep, and the processes of the jobs and all they started."""
    log = tmp_path / "log"
    text = script(WAIT, forked=True, executor=request.param, log=str(log))
    command = [sys.executable, "-c", text]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not log.exists() or len(log.read_text().split()) < 6:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process, [int(pid) for pid in log.read_text().split()]


def test_workers_end_with_their_parent_even_when_it_is_killed(waiting: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, pids = waiting
    family = [psutil.Process(pid) for pid in pids]
    process.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def test_ctrl_c_reaches_the_parent_alone_which_ends_all(waiting: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, pids = waiting
    family = [psutil.Process(pid) for pid in pids]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=30)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert (alive, err.count("Traceback"), err.rstrip().endswith("KeyboardInterrupt")) == ([], 1, True)


def test_fork_server_that_cannot_be_started_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("AF_UNIX path too long")

    monkeypatch.setattr(forkserver, "ensure_running", refuse)
    with pytest.raises(StorageError, match="processes cannot be started: AF_UNIX path too long") as found:
        fork_server.start_server([])
    assert "TMPDIR" in found.value.hint


def test_process_that_the_machine_refuses_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: SpawnProcess) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(SpawnProcess, "start", refuse)
    monkeypatch.setattr(fork_server, "_running", False)
    with pytest.raises(StorageError, match="processes cannot be started") as found:
        list(processes([1], work.make))
    assert "--workers" in found.value.hint


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EPIPE])
def test_an_ended_server_is_named_with_the_interpreter_to_check(number: int) -> None:
    class Unreachable:
        def start(self) -> None:
            raise OSError(number, os.strerror(number))

    with pytest.raises(StorageError, match="the server that starts them ended") as caught:
        fork_server.start(Unreachable())  # type: ignore[arg-type]
    assert sys.executable in str(caught.value.hint)
