"""Processes that do not run the script that starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from harness.execution.contexts import {context}
print("runs", flush=True)
with ProcessPoolExecutor(2, mp_context={context}()) as pool:
    assert list(pool.map(abs, range(-3, 0))) == [3, 2, 1]
def start(number):
    process = {context}().Process(target=os.write, args=(1, b"started %d\\n" % number))
    process.start()
    process.join()
with ThreadPoolExecutor(4) as pool:
    list(pool.map(start, range(8)))
assert sys.modules["__main__"].start is start
"""


@pytest.mark.parametrize("context", ["Spawn", "ForkServer"])
def test_a_script_without_a_guard_runs_once(tmp_path: Path, context: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(context=context))
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert sorted(ran.stdout.split("\n")) == sorted(["runs", *(f"started {i}" for i in range(8)), ""])
