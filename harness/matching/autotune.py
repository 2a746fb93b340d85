"""Which backend is fastest for tensors on a device: a table that `harness bench crossover` measures.

The file lists, for one model of GPU, the milliseconds of plain calls by batch and size. The user's own lies in the
cache folder; the package's, `crossover.json` beside this module, is there once one has been measured and committed.
Without a table for the GPU at hand nothing is known, and nothing is assumed: the CPU solves.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.files import cache_root

SCHEMA = 1
PACKAGED = Path(__file__).with_name("crossover.json")


@dataclass(frozen=True)
class Point:
    """One measured case: n = m, and the median of each backend that took it, in milliseconds."""

    batch: int
    n: int
    milliseconds: Mapping[str, float]

    def fastest_first(self) -> tuple[str, ...]:
        """The backends by their time."""
        return tuple(sorted(self.milliseconds, key=lambda backend: self.milliseconds[backend]))


@dataclass(frozen=True)
class Crossover:
    """The table of one model of GPU."""

    gpu: str
    points: tuple[Point, ...]

    def fastest_first(self, batch: int, n: int, m: int) -> tuple[str, ...]:
        """Backends by their time at the nearest measured case; none where nothing was measured.

        Nearest in the logarithms of batch and of sqrt(n m), the side of a square with as many entries.
        """
        if not self.points:
            return ()
        batch, side = max(batch, 1), math.sqrt(max(n * m, 1))

        def distance(point: Point) -> float:
            return math.log(batch / point.batch) ** 2 + math.log(side / point.n) ** 2

        return min(self.points, key=distance).fastest_first()

    def to_json(self) -> dict[str, Any]:
        """Plain types, as `load` reads them."""
        points = [{"batch": one.batch, "n": one.n, "milliseconds": dict(one.milliseconds)} for one in self.points]
        return {"schema": SCHEMA, "gpu": self.gpu, "points": points}


def own() -> Path:
    """Where this user's own table lies: in the cache folder."""
    return cache_root() / PACKAGED.name


def load(gpu: str) -> Crossover:
    """The table of a model of GPU: the file that HARNESS_CROSSOVER names, else the user's own, else the packaged one.

    A file of another model is passed over; where there is no table the answer is empty.

    Raises:
        UserError: a file is there, or is named, and is not such a table.
    """
    named = os.environ.get("HARNESS_CROSSOVER")
    for path in (Path(named),) if named else (own(), PACKAGED):
        if (named or path.is_file()) and (table := _read(path)).gpu == gpu:
            return table
    return Crossover(gpu, ())


def _read(path: Path) -> Crossover:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']}, not {SCHEMA}")
        points = tuple(Point(int(one["batch"]), int(one["n"]), dict(one["milliseconds"])) for one in content["points"])
        return Crossover(str(content["gpu"]), points)
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = f"measure it with `harness bench crossover --out {path}`, or remove it"
        raise UserError(f"{path} is no table of crossovers: {error}", hint) from error
