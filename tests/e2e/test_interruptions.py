"""kill -9 and Ctrl-C at any moment: what is finished stays, and the same command ends in the identical file."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from harness.ledger import Ledger
from harness.runner.evaluate import FILE, evaluate
from harness.runner.request import MethodChoice, Request

from .conftest import start

KILLS = 20


def request(world: Path, cache: Path, out: Path) -> Request:
    methods = (MethodChoice("zero_shot"), MethodChoice("fsnl", parameters={"epochs": 3}))
    return Request(
        methods=methods, shots=(1, 2), seeds=(1, 2), data=world, backbone="beyond-mini", out=out, cache=cache, workers=1
    )


@pytest.mark.slow
def test_kill_9_at_twenty_random_moments_then_the_identical_leaderboard(world, tmp_path):
    begin = time.monotonic()
    evaluate(request(world, tmp_path / "clean cache", tmp_path / "clean"))
    whole = time.monotonic() - begin
    killed = tmp_path / "killed"
    moment = random.Random(0)
    ended = 0
    for _ in range(KILLS):
        child = os.fork()  # torch is imported already and computes with one thread: forking is safe and quick here
        if child == 0:
            try:
                evaluate(request(world, tmp_path / "cache", killed))
            finally:
                os._exit(0)
        time.sleep(moment.uniform(0, whole / 3))
        os.kill(child, signal.SIGKILL)
        ended += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        for cell in (killed / "cells").glob("*/*.json"):
            assert Ledger(killed).get(cell.stem) is not None, "a half-written cell"
    assert ended >= KILLS // 4, "the kills came too late to test anything"
    outcome = evaluate(request(world, tmp_path / "cache", killed))
    assert outcome.whole
    assert (killed / FILE).read_bytes() == (tmp_path / "clean" / FILE).read_bytes()
    assert evaluate(request(world, tmp_path / "cache", killed)).computed == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_command_leaves_valid_files_and_no_process(world, tmp_path, kind):
    words = ["evaluate", "--all-domains", "--data", world, "--backbone", "beyond-mini", "--out", tmp_path / "results"]
    words += ["--workers", "2", "-p", "fsnl.epochs=400", "--seeds", "1-3"]
    process = start(*words, cache=tmp_path / "cache")
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
        assert err.rstrip().endswith("stopped; what was finished is kept, and the same command goes on from there")
        assert "Traceback" not in err
    ledger = Ledger(tmp_path / "results")
    finished = [p.stem for p in (tmp_path / "results").glob("cells/*/*.json")]
    assert all(ledger.get(key) for key in finished)
