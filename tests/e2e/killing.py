"""Kill a run with -9 at random moments, and compare its leaderboard with an undisturbed run's.

``python killing.py DATA WORK [KILLS]``: every run is a fork of this process, which has imported torch once and computes
its cells itself with one thread, so that a trial takes a second and not ten. A fork could not use the fork server of
its parent.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from harness.execution import executors, fork_server
from harness.results.leaderboard_file import BOARD
from harness.results.store import ResultStore
from harness.runner.evaluate import evaluate
from harness.runner.request import MethodChoice, Request

KILLS = 20
"""How often a run is killed unless the command line says otherwise."""


def request(data: Path, cache: Path, out: Path) -> Request:
    methods = (MethodChoice("zero_shot"), MethodChoice("fsnl", parameters={"epochs": 3}))
    return Request(
        methods=methods, shots=(1, 2), seeds=(1, 2), data=data, backbone="beyond-mini", out=out, cache=cache, workers=1
    )


def main(data: Path, work: Path, kills: int = KILLS) -> None:
    executors.processes = executors.here
    fork_server.start_server = lambda modules: None
    evaluate(request(data, work / "first cache", work / "first"))  # what is imported and compiled on first use
    begin = time.monotonic()
    evaluate(request(data, work / "clean cache", work / "clean"))
    whole = time.monotonic() - begin
    killed = request(data, work / "cache", work / "killed")
    moment = random.Random(0)
    ended = []
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            try:
                evaluate(killed)
            finally:
                os._exit(0)
        time.sleep(moment.uniform(0, whole / 5))
        os.kill(child, signal.SIGKILL)
        ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        for cell in (killed.out / "cells").glob("*/*.json"):
            assert ResultStore(killed.out).get(cell.stem) is not None, f"a half-written cell: {cell}"
    assert set(ended) <= {0, -signal.SIGKILL}, f"a run ended by itself: {ended}"
    assert ended.count(-signal.SIGKILL) >= kills // 4, "the kills came too late to test anything"
    assert evaluate(killed).succeeded
    assert (work / "killed" / BOARD).read_bytes() == (work / "clean" / BOARD).read_bytes()
    assert evaluate(killed).computed == 0
    print(f"identical after {kills} kills")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
