"""A folder is filled by one process at a time, also by many that wait for each other."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.datasets.whole_folder import write_whole_folder


def test_of_many_that_wait_one_at_a_time_fills_the_folder(tmp_path: Path) -> None:
    """Each removes the file of the lock that the others wait for."""
    inside, most, guard = [0], [0], threading.Lock()

    def write(folder: Path) -> None:
        with guard:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.001)
        with guard:
            inside[0] -= 1

    def fill(number: int) -> None:
        for _ in range(40):
            write_whole_folder(tmp_path / "out", lambda: False, write, "the folder", "")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(fill, range(6)))
    assert most == [1]
