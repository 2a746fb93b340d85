"""Writes a line for every finished cell into the file that EXAMPLE_LOG names, if it names one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    from harness.types.cell import Cell


@hookimpl
def harness_cell_finished(cell: Cell) -> None:
    """Append the cell's method, domain, seed and OOP accuracy, or why it has none."""
    if path := os.environ.get("EXAMPLE_LOG"):
        result = cell.failure.reason if cell.failure else f"{cell.metrics['oop_top1']:.3f}"
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{cell.spec.method.name}\t{cell.spec.domain}\t{cell.spec.seed}\t{result}\n")
