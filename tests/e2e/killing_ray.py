"""Kill parts of a run on Ray at random moments, and compare its leaderboard with that of a local run.

Parts are worker processes, actors, nodes and the driver.

``python killing_ray.py DATA WORK [KILLS]``: two nodes of one CPU each on this machine, and a third that is killed.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

KILLS = 20
"""How often something is killed unless the command line says otherwise."""

WORDS = ("--plugin", "zero_shot,fsnl", "--all-domains", "--backbone", "beyond-mini", "-p", "fsnl.epochs=20")
WORDS += ("--shots", "1,2", "--seeds", "1-6")


def command(data: Path, out: Path, cache: Path, *more: str) -> list[str]:
    place = ("--data", str(data), "--out", str(out), "--cache", str(cache))
    return [sys.executable, "-m", "harness", "evaluate", *WORDS, *place, *more]


def agents() -> list[psutil.Process]:
    """The actors of this cluster, whose nodes this process started."""
    found = list[psutil.Process]()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [process] if "ray::NodeAgent" in " ".join(process.cmdline()) else []
    return found


def kill_worker() -> bool:
    found = [child for agent in agents() for child in agent.children(recursive=True)]
    busy = [child for child in found if not child.children()]  # cells, and what processes are forked from
    return kill(random.choice(busy)) if busy else False


def kill_agent() -> bool:
    found = agents()
    return kill(random.choice(found)) if found else False


def kill(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def require_equal(work: Path) -> None:
    one, other = ((work / name / "leaderboard.json").read_bytes() for name in ("local", "ray"))
    assert one == other


def main(data: Path, work: Path, kills: int = KILLS) -> None:
    from ray.cluster_utils import Cluster

    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - as Ray spells it
    subprocess.run(command(data, work / "local", work / "local cache", "--workers", "1"), check=True)
    cluster = Cluster()
    cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    third: Any = cluster.add_node(num_cpus=1)
    distributed = command(data, work / "ray", work / "ray cache", "--executor", "ray", "--ray-address", cluster.address)
    moment, done = random.Random(0), Counter[str]()
    random.seed(0)
    driver: subprocess.Popen[bytes] | None = None
    while done.total() < kills:
        if driver is None or driver.poll() is not None:
            assert driver is None or driver.returncode in (0, -signal.SIGKILL), driver.returncode
            if driver is not None and driver.returncode == 0:
                require_equal(work)
                print(f"identical after {dict(done)}", flush=True)
                subprocess.run(["rm", "-r", work / "ray"], check=True)
            driver = subprocess.Popen(distributed)
        while driver.poll() is None and not agents():
            time.sleep(0.5)
        time.sleep(moment.uniform(0, 6))
        kind = moment.choice(["worker", "worker", "agent", "agent", "node", "driver"])
        if kind == "driver":
            driver.kill()
            driver.wait()
            done[kind] += 1
        elif kind == "node":
            cluster.remove_node(third, allow_graceful=False)
            third = cluster.add_node(num_cpus=1)
            done[kind] += 1
        elif (kill_worker if kind == "worker" else kill_agent)():
            done[kind] += 1
    if driver is not None:
        driver.wait()
    subprocess.run(distributed, check=True)
    cluster.shutdown()
    require_equal(work)
    print(f"identical after {kills} kills: {dict(done)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
