"""Run one grid in every way that there is, and compare the bytes of the leaderboards and of all predictions.

``python comparing_executors.py DATA WORK [OPTION ...]``: one worker, two workers, two Ray nodes of one CPU each on this
machine, and five shards that are assembled; each with a feature cache of its own. The grid is that of options of
``harness evaluate``, such as ``--plugin all --all-domains --shots 1 --seeds 1``; without any it has twelve methods.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

METHODS = "zero_shot,fsnl,zsnl,tip_adapter,prolip,gda,lp_pp,otter,tda,transclip,clip_adapter,prototypes"
"""Of different kinds: without images, few-shot, of a pool, of a stream; with and without training."""

GRID = ("--plugin", METHODS, "--all-domains", "--backbone", "beyond-mini", "--shots", "2", "--seeds", "1,2")
GRID += ("--baseline", "none", "-p", "fsnl.epochs=3", "-p", "clip_adapter.epochs=3")
SHARDS = 5


def harness(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "harness", *map(str, words)], check=True, capture_output=True)


def in_shards(grid: Callable[..., None], work: Path) -> None:
    """Every shard has a results folder and a feature cache of its own, as on machines that share nothing."""
    for number in range(1, SHARDS + 1):
        grid(f"shard {number}", "--shard", f"{number}/{SHARDS}", "--workers", "1")
    harness("leaderboard", "assemble", *sorted(work.glob("shard *")), "--out", work / "5 shards")


def on_ray(grid: Callable[..., None]) -> None:
    from ray.cluster_utils import Cluster

    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - as Ray spells it
    cluster = Cluster()
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    grid("2 Ray nodes", "--executor", "ray", "--ray-address", cluster.address)
    cluster.shutdown()


def main(data: Path, work: Path, chosen: list[str]) -> None:
    def grid(name: str, *words: str) -> None:
        options = ("--data", data, "--out", work / name, "--cache", work / "caches" / name)
        harness("evaluate", *(chosen or GRID), *options, *words)

    ways: dict[str, Callable[[], None]] = {
        "1 worker": lambda: grid("1 worker", "--workers", "1"),
        "2 workers": lambda: grid("2 workers", "--workers", "2"),
        "5 shards": lambda: in_shards(grid, work),
        "2 Ray nodes": lambda: on_ray(grid),
    }
    expected: dict[str, bytes] = {}
    for name, run in ways.items():
        begin = time.monotonic()
        run()
        found = results(work / name)
        expected = expected or found
        assert found == expected, (
            f"{name} differs in {sorted(k for k in {**found, **expected} if found.get(k) != expected.get(k))}"
        )
        print(f"{name}: {len(found) - 1} files of predictions, {time.monotonic() - begin:.0f} s, identical", flush=True)
        shutil.rmtree(work / "caches")


def results(folder: Path) -> dict[str, bytes]:
    """The leaderboard and the predictions of a results folder."""
    paths = [folder / "leaderboard.json", *sorted(folder.glob("predictions/*/*"))]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
