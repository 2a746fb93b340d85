"""Timings by which backend="auto" chooses for tensors on a device; `harness bench autotune` measures them.

A file lists, for one model of GPU, the milliseconds of plain calls by batch and size. The user's file is in the cache
folder; the package's, `autotune.json` in the folder of this module, exists once one has been measured and committed.
Without timings of this GPU, "auto" uses the CPU.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError, os_reason
from harness.files import read_file
from harness.folders import cache_root
from harness.parsing import parse_json, parsing

SCHEMA = 1
PACKAGED = Path(__file__).with_name("autotune.json")


@dataclass(frozen=True)
class TimedCase:
    """One measured case: n = m, and the median of each backend that can solve it, in milliseconds."""

    batch: int
    n: int
    milliseconds: Mapping[str, float]

    def fastest_first(self) -> tuple[str, ...]:
        """The backends, by time."""
        return tuple(sorted(self.milliseconds, key=lambda backend: self.milliseconds[backend]))


@dataclass(frozen=True)
class Timings:
    """The timings of one model of GPU."""

    gpu: str
    cases: tuple[TimedCase, ...]

    def fastest_first(self, batch: int, n: int, m: int) -> tuple[str, ...]:
        """The backends, by time in the nearest measured case; none where nothing was measured.

        Nearest in the logarithms of batch and of sqrt(n m), the side of a square with as many entries.
        """
        if not self.cases:
            return ()
        batch, side = max(batch, 1), math.sqrt(max(n * m, 1))

        def distance(case: TimedCase) -> float:
            return math.log(batch / case.batch) ** 2 + math.log(side / case.n) ** 2

        return min(self.cases, key=distance).fastest_first()

    def to_json(self) -> dict[str, Any]:
        """Plain types, as `load` reads them."""
        cases = [{"batch": one.batch, "n": one.n, "milliseconds": dict(one.milliseconds)} for one in self.cases]
        return {"schema": SCHEMA, "gpu": self.gpu, "cases": cases}


def user_file() -> Path:
    """The user's file, in the cache folder."""
    return cache_root() / PACKAGED.name


def load(gpu: str) -> Timings:
    """The timings of a model of GPU: from the file HARNESS_AUTOTUNE, else the user's, else the package's.

    Files of other models are skipped; without any, there are no timings.

    Raises:
        UserError: a file that exists or is named cannot be read.
        DataError: it does not contain timings.
    """
    named = os.environ.get("HARNESS_AUTOTUNE")
    for path in (Path(named),) if named else (user_file(), PACKAGED):
        if (named or path.is_file()) and (timings := _read(path)).gpu == gpu:
            return timings
    return Timings(gpu, ())


def _read(path: Path) -> Timings:
    problem = f"{path} does not contain timings of backends"
    hint = f"measure it with `harness bench autotune --out {path}`, or remove it"
    try:
        read = read_file(path)
    except OSError as error:
        raise UserError(f"{problem}: {os_reason(error)}", hint) from None
    content = parse_json(read, problem, hint)
    with parsing(problem, hint):
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']}, not {SCHEMA}")
        cases = tuple(
            TimedCase(int(one["batch"]), int(one["n"]), {str(k): float(v) for k, v in one["milliseconds"].items()})
            for one in content["cases"]
        )
        return Timings(str(content["gpu"]), cases)
