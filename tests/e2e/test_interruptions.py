"""kill -9 and Ctrl-C at any moment: finished cells remain, and the same command ends in the identical file."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.errors import StorageError
from harness.results.leaderboard_file import read_board
from harness.results.store import ResultStore
from harness.runner import evaluate as runner
from harness.types.leaderboard import Leaderboard

from .conftest import start
from .test_evaluate import DOMAINS

pytestmark = pytest.mark.slow


@pytest.mark.slow
def test_kill_9_at_twenty_random_moments_then_the_identical_leaderboard(world, tmp_path):
    # In a separate process: it forks, and this one has threads by now that a fork would lose.
    script = Path(__file__).with_name("killing.py")
    done = subprocess.run(
        [sys.executable, script, world, tmp_path],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "identical after 20 kills" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_command_leaves_valid_files_and_no_process(world, cache, tmp_path, kind):
    words = ["evaluate", "--all-domains", "--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results"]
    words += ["--workers", "2", "-p", "fsnl.epochs=400", "--seeds", "1-3"]
    process = start(*words, cache=cache)
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "results").glob("cells/*/*.json"))) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    os.kill(process.pid, kind)
    _, err = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, "processes are left over"
    if kind != signal.SIGKILL:
        assert process.returncode == 130
        assert err.rstrip().endswith("stopped; what is finished is saved, and the same command does the rest")
        assert "Traceback" not in err
        done = sum(len(stats) for row in read_board(tmp_path / "results").rows for stats in row.domains.values())
        assert done > 0, "the leaderboard has what is finished"
    store = ResultStore(tmp_path / "results")
    finished = [p.stem for p in (tmp_path / "results").glob("cells/*/*.json")]
    assert all(store.get(key) for key in finished)


@pytest.mark.parametrize(
    "words", [["plugins"], ["plugins", "--json"], ["leaderboard", "schema"], ["evaluate", "--help"]]
)
def test_closed_pipe_ends_command_quietly(tmp_path, words):
    process = start(*words, cache=tmp_path / "cache")
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    next_command = "harness plugins show NAME  # what it is, needs and takes\n" if words == ["plugins"] else ""
    assert (process.returncode, err) == (0, next_command)


def test_a_closed_pipe_of_notes_and_results_keeps_the_exit_code_of_the_command(world, tmp_path):
    words = ["evaluate", "-d", "Animals", "--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results"]
    words += ["--plugin", "zero_shot", "--cache", tmp_path / "cache"]
    command = shlex.join([sys.executable, "-m", "harness", *map(str, words)])
    ran = subprocess.run(
        ["bash", "-c", f"{command} 2>&1 | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr, ran.stdout.count("\n")) == (0, "", 1)
    assert (tmp_path / "results" / "leaderboard.json").exists()


def test_closed_pipe_keeps_the_exit_code_of_the_command():
    script = (
        "import sys; from harness.cli.stdout import configure_streams; configure_streams(); print(9**9); sys.exit(3)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (3, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_full_disk_at_stdout_is_user_error(tmp_path):
    command = [sys.executable, "-m", "harness.cli.main", "plugins", "--json"]
    environment = {**os.environ, "HARNESS_CACHE": str(tmp_path)}
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    said = "error: stdout cannot be written: no space left on device\nhint: free some space\n"
    assert (ran.returncode, ran.stderr) == (2, said)


def test_closed_standard_streams_are_handled(tmp_path):
    command = f"{sys.executable} -m harness plugins --json >&- 2>&-"
    environment = {**os.environ, "HARNESS_CACHE": str(tmp_path)}
    assert subprocess.run(command, env=environment, shell=True, check=False).returncode == 0


def test_standard_streams_are_configured_for_any_caller():
    """What takes the number of a closed stream would be printed into; a log on a full disk costs words, no run."""
    script = (
        "import os, sys; from harness.cli.stdout import configure_streams; configure_streams(); "
        "print('note', file=sys.stderr, flush=True); print('result', flush=True); "
        "sys.exit(any(not os.get_inheritable(fd) for fd in range(3)) or os.dup(0) < 3)"
    )
    for left in ("<&- >&- 2>&-", "2>&-", "2>/dev/full" if Path("/dev/full").exists() else ""):
        ran = subprocess.run(f'{sys.executable} -c "{script}" {left}', shell=True, capture_output=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, b"note\n" if not left else b""), left


@pytest.mark.slow
def test_a_worker_that_is_killed_does_not_end_the_run(world, cache, tmp_path):
    words = ["evaluate", "--all-domains", "--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results"]
    process = start(*words, "--workers", "2", "-p", "fsnl.epochs=100", "--seeds", "1-2", cache=cache)
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "results").glob("cells/*/*.json"))) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = [p for p in psutil.Process(process.pid).children(recursive=True) if not p.children()]
    workers[-1].kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, 1), err
    assert (tmp_path / "results" / "leaderboard.json").exists()


def test_cells_of_stopped_run_can_be_verified_later(harness, evaluate, tmp_path, monkeypatch):
    run = runner.run_cells

    def stopped(*arguments):
        yield next(run(*arguments))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run_cells", stopped)
        assert evaluate("--plugin", "fsnl", "--baseline", "none", "--seeds", "1").code == 130
    assert evaluate("--domain", "Insects_Spiders").code == 0
    answer = harness("leaderboard", "verify", tmp_path / "results")
    assert answer.code == 0, answer.out + answer.err
    assert "fsnl" in answer.out


@pytest.mark.parametrize("ending", [KeyboardInterrupt, StorageError("results cannot be written")])
def test_leaderboard_has_cells_of_stopped_run(evaluate, tmp_path, monkeypatch, ending):
    words = ("--plugin", "fsnl", "--baseline", "none", "--seeds", "1,2")
    evaluate(*words, out=tmp_path / "undisturbed")
    run = runner.run_cells

    def stopped(*arguments):
        yield next(run(*arguments))
        raise ending

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run_cells", stopped)
        assert evaluate(*words).code == (130 if ending is KeyboardInterrupt else 2)
    file = tmp_path / "results" / "leaderboard.json"
    (row,) = Leaderboard.model_validate_json(file.read_bytes()).rows
    assert sum(stats["oop_top1"].n for stats in row.domains.values()) == 1
    assert {failure.kind for failure in row.failures} == {"missing"}
    assert len(row.failures) == 2 * len(DOMAINS) - 1
    assert row.mean == {}
    assert evaluate(*words).code == 0
    assert file.read_bytes() == (tmp_path / "undisturbed" / "leaderboard.json").read_bytes()


def test_concurrent_runs_lose_no_cell(evaluate, tmp_path, monkeypatch):
    evaluate("--plugin", "fsnl", "--domain", "Animals", "--baseline", "none", "--seeds", "3", out=tmp_path / "other")
    others = list(ResultStore(tmp_path / "other").cells())
    stamps, seen = ResultStore.stamps, []
    others = list(ResultStore(tmp_path / "other").cells())

    def meanwhile(store):
        if len(seen) == 1:  # another run stores its last cell, whose own leaderboard was written before this one
            for cell in others:
                store.put(cell)
        seen.append(len(stamps(store)))
        return stamps(store)

    with monkeypatch.context() as patch:
        patch.setattr(ResultStore, "stamps", meanwhile)
        evaluate("--plugin", "fsnl", "--domain", "Animals", "--baseline", "none")
    assert seen == [2, 3, 3]
    (row,) = Leaderboard.model_validate_json((tmp_path / "results" / "leaderboard.json").read_bytes()).rows
    assert row.seeds == (1, 2, 3)


def test_forked_children_end_at_sigterm(tmp_path):
    script = """
import os, signal, sys
from harness.cli import main
sys.argv = ["harness", "--version"]
try:
    main.run()
except SystemExit:
    pass
assert signal.getsignal(signal.SIGTERM) is main._interrupt
pid = os.fork()
if pid == 0:
    os._exit(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
sys.exit(os.waitpid(pid, 0)[1])
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
