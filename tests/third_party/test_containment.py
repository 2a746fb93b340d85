"""Whatever a method does becomes its failed cell, with reason and log; the grid continues."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import psutil
import pytest

from harness.execution.global_state import changes, snapshot
from harness.results.store import ResultStore
from harness.types.cell import Failure

from ..e2e.conftest import start
from ..makers import make_cell
from ..processes import gone

pytestmark = pytest.mark.slow

ISOLATED = {
    "raises": "raises raised ValueError: the moon is in the wrong place",
    "hangs": "hangs took longer than 6 seconds",
    "spins": "spins took longer than 6 seconds",
    "exits": "exits ended its process with exit code 3",
    "sys_exits": "sys_exits raised SystemExit: enough",
    "interrupts": "interrupts raised KeyboardInterrupt: as if somebody had pressed Ctrl-C",
    "is_killed": "is_killed was killed by SIGKILL, perhaps because memory ran out",
    "crashes": "crashes was killed by SIGSEGV",
    "eats_memory": "eats_memory used more than 1.5 GiB of memory",
    "returns_nan": "returns_nan.scores returned NaN or infinity",
    "returns_wrong_shape": "returns_wrong_shape.scores returned (27, 8); scores must be (27, 9)",
    "floods": "floods printed more than 16 MiB",
}
"""Method -> the beginning of its reason, with --isolate."""

ENDLESS = ("hangs", "spins")
"""Methods that only a limit of time ends."""

HERE = {name: ISOLATED[name] for name in ("raises", "sys_exits", "returns_nan", "returns_wrong_shape")} | {
    "mumbles": r"mumbles raised ValueError: \x1b[31mred \udc80",
    "is_mute": "is_mute raised NoWords: its message is not available: RuntimeError",
}
"""Method -> the beginning of its reason, without --isolate."""

LOGS = {
    "raises": "about to raise\nraises failed\nTraceback (most recent call last):\n",
    "hangs": "going to sleep next to ",
    "exits": "leaving\n",
    "crashes": "Fatal Python error: Segmentation fault",
    "returns_nan": "in predict",
    "floods": "bytes left out ...]\nxxx",
}
"""Method -> part of its log."""


def rows(answer: Any) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in answer.json["rows"]}


def numbers(answer: Any) -> list[dict[str, Any]]:
    """The rows without what held the processes, which depends on ``--isolate``."""
    rows = answer.json["rows"]
    assert all(data.pop("isolation") for row in rows for data in row["data"].values())
    return rows


def failed(row: dict[str, Any], reason: str) -> bool:
    """Whether the row is one hole with this reason, and nothing is averaged."""
    (failure,) = row["failures"]
    assert failure["reason"].startswith(reason), failure["reason"]
    assert (failure["domain"], failure["seed"], failure["kind"]) == ("Animals", 1, "error")
    return not row["complete"] and row["domains"] == {} and row["mean"] == {}


@pytest.mark.slow
def test_isolated_every_fault_is_a_failed_cell_with_its_log_and_the_grid_goes_on(zoo, evaluate, tmp_path):
    names = [name for name in (*ISOLATED, "tame") if name not in ENDLESS]
    limits = ("--isolate", "--cell-memory", "1.5", "--workers", "2")
    ending = evaluate("--plugin", ",".join(names), *limits, "--cell-timeout", "120")  # on a busy machine too
    written = json.loads((tmp_path / "results" / "leaderboard.json").read_text())["rows"]
    endless = evaluate("--plugin", ",".join(ENDLESS), *limits, "--cell-timeout", "6")
    assert ending.code == endless.code == 1
    found = rows(ending) | rows(endless)
    assert set(found) == {*names, *ENDLESS, "zero_shot"}
    for name, reason in ISOLATED.items():
        assert failed(found[name], reason), name
    for name in ("tame", "zero_shot"):
        assert found[name]["complete"]
    assert found["tame"]["domains"] == found["zero_shot"]["domains"]
    written += json.loads((tmp_path / "results" / "leaderboard.json").read_text())["rows"]
    assert {row["method"]: row["complete"] for row in written} == {n: n not in ISOLATED for n in found}
    logs = {}
    for path in (tmp_path / "results").glob("cells/*/*.failed.log"):
        record = json.loads(path.with_suffix(".json").read_text())
        logs[record["cell"]["spec"]["method"]["name"]] = path.read_text()
        assert f"(log: {path})" in ending.err + endless.err
    assert {name for name, part in LOGS.items() if part not in logs.get(name, "")} == set()
    assert max(map(len, logs.values())) < 2**18
    left = [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "3607"]]
    assert left == [], "a process in a new group outlives its cell"


@pytest.mark.slow
def test_isolated_numbers_are_the_same(zoo, evaluate, tmp_path):
    plain = evaluate("--plugin", "tame,fsnl", "-p", "fsnl.epochs=2", "--workers", "1")
    isolated = evaluate("--plugin", "tame,fsnl", "-p", "fsnl.epochs=2", "--isolate", "--out", tmp_path / "other")
    assert plain.code == isolated.code == 0
    assert numbers(plain) == numbers(isolated)
    assert not list(tmp_path.glob("other/cells/*/*.log"))


@pytest.mark.slow
def test_what_processes_share_is_the_same_before_every_cell_and_put_back(zoo, evaluate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evaluate("--plugin", "zero_shot", "--out", "first")  # a run sets torch's own precision, in this process
    before, found = snapshot(), []
    for words in (("--workers", "1"), ("--workers", "2"), ("--isolate",)):
        out = "".join(words)  # relative, as people give it
        answer = evaluate("--plugin", "lives_on_the_state", "--seeds", "1,2", "--shots", "1,2", *words, "--out", out)
        assert answer.code == 0
        assert (tmp_path / out / "leaderboard.json").is_file()
        found.append(numbers(answer))
    assert found[1:] == found[:1] * 2
    assert [name for name in changes(before) if not name.endswith("random state")] == []


@pytest.mark.slow
def test_what_a_method_leaves_running_ends_with_the_workers(zoo, evaluate, tmp_path):
    (tmp_path / "own").mkdir()
    log = ("-p", f"leaves_processes.log={tmp_path / 'own' / 'log'}")
    assert evaluate("--plugin", "leaves_processes", *log, "--seeds", "1,2", "--workers", "2").code == 0
    left = [int(pid) for pid in (tmp_path / "own" / "log").read_text().split()]
    assert len(left) == 4
    assert gone(*left)


def test_without_isolation_exceptions_and_bad_scores_are_contained(zoo, evaluate):
    answer = evaluate("--plugin", ",".join((*HERE, "tame")), "--workers", "1")
    assert answer.code == 1
    found = rows(answer)
    for name, reason in HERE.items():
        assert failed(found[name], reason), name
    assert found["tame"]["complete"]


def test_a_report_that_cannot_be_kept_costs_no_result(zoo, evaluate):
    answer = evaluate("--plugin", "miscounts", "--workers", "1")
    assert answer.code == 0
    assert rows(answer)["miscounts"]["mean"] == rows(answer)["zero_shot"]["mean"]
    assert (
        "miscounts on Animals, seed 1: miscounts.trainable returned 'many'; other results are not affected"
        in answer.err
    )


@pytest.mark.parametrize("how", [("--workers", "1"), pytest.param(("--isolate",), marks=pytest.mark.slow)])
def test_a_failure_says_where_in_the_methods_own_code_and_keeps_its_traceback(zoo, evaluate, tmp_path, how):
    answer = evaluate("--plugin", "raises", "--baseline", "none", *how, "--traceback")
    (failure,) = rows(answer)["raises"]["failures"]
    lines = (zoo / "misbehaving.py").read_text().splitlines()
    fits = 1 + lines.index("        self.misbehave()")
    raises = 2 + lines.index('        print("about to raise")')
    where = f"misbehaving.py:{fits} in fit, misbehaving.py:{raises} in misbehave"
    assert failure["reason"] == f"raises raised ValueError: the moon is in the wrong place ({where})"
    (log,) = (tmp_path / "results").glob("cells/*/*.failed.log")
    trace = log.read_text()
    assert "raises failed\nTraceback (most recent call last):\n" in trace
    assert f"(log: {log})" in answer.err
    assert answer.err.count(trace) == 1, "--traceback shows it"
    assert str(zoo) not in (tmp_path / "results" / "leaderboard.json").read_text()


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_what_methods_print_is_not_in_the_document(zoo, world, cache, tmp_path, monkeypatch, workers):
    monkeypatch.setenv("PYTHONPATH", str(zoo))
    words = ["evaluate", "--domain", "Animals", "--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "r"]
    process = start(*words, "--plugin", "chatters", "--seeds", "1", "--workers", workers, "--json", cache=cache)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert {row["method"] for row in json.loads(out)["rows"]} == {"chatters", "zero_shot"}
    assert "{chatter" not in out
    assert "{chatter}" in err
    assert "{chatter from below}" in err


def test_a_cell_that_succeeds_takes_its_old_log_away(tmp_path):
    store = ResultStore(tmp_path)
    bad = store.put(make_cell(failure=Failure(kind="error", reason="x")))
    path = store.put_log(bad.spec.key, b"words")
    assert path.read_bytes() == b"words"
    store.put(make_cell())
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--cell-timeout", "5"), "the cell timeout is a limit for cells in separate processes"),
        (("--cell-memory", "5"), "isolate the cells: --isolate"),
        (("--isolate", "--cell-timeout", "0"), "the cell timeout is 0"),
        (("--isolate", "--cell-memory", "-1"), "the cell memory is -1"),
    ],
)
def test_limits_that_make_no_sense_are_a_sentence(evaluate, arguments, sentence):
    answer = evaluate("--plugin", "zero_shot", *arguments)
    assert answer.code == 2
    assert sentence in answer.err


@pytest.mark.slow
def test_ctrl_c_leaves_no_process(zoo, world, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(zoo))
    words = ["evaluate", "--domain", "Animals", "--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "r"]
    process = start(*words, "--plugin", "hangs", "--seeds", "1", "--isolate", "--workers", "2", cache=cache)
    deadline = time.monotonic() + 120
    family = [psutil.Process(process.pid)]
    while not list((tmp_path / "r").glob("cells/*/*.json")):  # zero-shot is done: the other cell hangs
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    family += psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert process.returncode == 130
    assert "Traceback" not in err
