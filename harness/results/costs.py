"""Costs of rows: ``costs.json`` next to a leaderboard file, joined to it by row id.

Costs have a separate file because a leaderboard file is byte-identical for the same cells; seconds never are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from harness.errors import DataError
from harness.parsing import parse_record
from harness.types.cell import Cell, Record
from harness.types.leaderboard import Row

FILE = "costs.json"


class RowCost(Record):
    """Cost of the cells of one row; seconds are sums, memory and parameters those of the largest cell."""

    cells: int = Field(description="cells whose cost is known")
    fit_seconds: float
    score_seconds: float
    wall_seconds: float = Field(description="fitting and scoring; encoding images is shared by all rows and not in it")
    peak_host_bytes: int | None
    peak_gpu_bytes: int | None
    trainable: int = Field(description="numbers that were learned")


class Costs(Record):
    """A file of costs."""

    format: Literal["laion-beyond-costs/1"] = "laion-beyond-costs/1"
    rows: dict[str, RowCost] = Field(description="row id -> cost")

    def content(self) -> bytes:
        """The content of the file."""
        return (self.model_dump_json(indent=1) + "\n").encode()


def cost_of(row: Row, cell_of: Callable[[str], Cell | None]) -> RowCost | None:
    """The cost of a row; None if that of no cell is known.

    Args:
        row: of a results folder.
        cell_of: finds a finished cell of it by the key of its spec.
    """
    cells = [cell_of(spec.key) for spec in row.specs()]
    known = [cell.cost for cell in cells if cell is not None and cell.cost is not None]
    if not known:
        return None
    fit, score = (sum(getattr(c, name) for c in known) for name in ("fit_seconds", "score_seconds"))
    return RowCost(
        cells=len(known),
        fit_seconds=fit,
        score_seconds=score,
        wall_seconds=fit + score,
        peak_host_bytes=max((c.peak_host_bytes for c in known if c.peak_host_bytes is not None), default=None),
        peak_gpu_bytes=max((c.peak_gpu_bytes for c in known if c.peak_gpu_bytes is not None), default=None),
        trainable=max(c.trainable for c in known),
    )


def parse_costs(content: bytes) -> dict[str, RowCost]:
    """Row id -> cost, from a file's content; empty if it is damaged."""
    try:
        return dict(parse_record(Costs, content, f"{FILE} is damaged").rows)
    except DataError:
        return {}
