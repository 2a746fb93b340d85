"""The record of a check: written after every step, so that it exists however the check ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from gpu_check.context import ROOT

SCHEMA = 1
PASSED, FAILED, TIMED_OUT, STOPPED, NOT_RUN, NO_GPU = (
    "passed",
    "failed",
    "timed out",
    "stopped",
    "not run",
    "needs a GPU",
)
WIDTH = 150
"""Characters of a line of the summary."""


def file_name(gpu: str | None) -> str:
    """What the record of a model of GPU is called."""
    return f"gpu_{re.sub(r'[^A-Za-z0-9.-]+', '_', gpu or 'none')}.json"


class Report:
    """The record of one check.

    Args:
        files: where it is written; all get the same content.
        gpu: model of the GPU, or None.
        names: all steps in their order.
        anew: steps that this check runs; the results of an earlier check for other steps stay.
    """

    def __init__(self, files: Sequence[Path], gpu: str | None, names: Sequence[str], anew: Sequence[str]) -> None:
        self.files, self.names, self.anew = files, names, anew
        self._begin = time.monotonic()
        self.steps = {name: step for name, step in _earlier(files).items() if name in names and name not in anew}
        self.content: dict[str, Any] = {
            "schema": SCHEMA,
            "gpu": gpu,
            "commit": _commit(),
            "started": _now(),
            "seconds": 0.0,
            "state": "running",
        }

    def begin(self, name: str) -> None:
        """Say which step runs: a check that is killed leaves its name."""
        self._save(f"running {name}")

    def put(self, name: str, **found: Any) -> None:
        """Add what a step came to."""
        self.steps[name] = {"at": _now(), **found}
        self._save("running")

    def finish(self, state: str) -> int:
        """Close the record; the exit status of the check: 0 if all that it should run passed."""
        for name in self.anew:
            self.steps.setdefault(name, {"status": NOT_RUN, "line": ""})
        self._save(state)
        return int(any(self.steps[name]["status"] not in (PASSED, NO_GPU) for name in self.anew))

    def status(self, name: str) -> str:
        """What a step came to, or an empty text."""
        return str(self.steps.get(name, {}).get("status", ""))

    def summary(self, groups: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
        """A line for each group of steps."""
        lines = []
        for group, names in groups:
            said = [self._said(name, len(names) > 1) for name in names if name in self.steps]
            lines.append(f"{group:<10} {'; '.join(said)}"[:WIDTH])
        return lines

    def _said(self, name: str, named: bool) -> str:
        step = self.steps[name]
        taken = f" in {step['seconds']:.0f} s" if "seconds" in step else ""
        line = f": {step['line']}" if step.get("line") else ""
        return f"{f'{name} ' if named else ''}{step['status']}{taken}{line}"

    def _save(self, state: str) -> None:
        self.content |= {"seconds": round(time.monotonic() - self._begin, 1), "state": state}
        ordered = [{"name": name, **self.steps[name]} for name in self.names if name in self.steps]
        text = json.dumps({**self.content, "steps": ordered}, indent=1) + "\n"
        for file in self.files:
            _write_atomic(file, text.encode())


def _write_atomic(path: Path, content: bytes) -> None:
    """Replace a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _earlier(files: Sequence[Path]) -> dict[str, Any]:
    """The steps of the first record that is there."""
    for file in files:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            steps = json.loads(file.read_text(encoding="utf-8"))["steps"]
            return {step["name"]: {key: value for key, value in step.items() if key != "name"} for step in steps}
    return {}


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
