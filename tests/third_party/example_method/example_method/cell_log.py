"""Writes a line for every finished cell into ``cells.tsv`` in the folder of logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl
from harness.observer import Observer

if TYPE_CHECKING:
    from harness.types.cell import Cell
    from harness.types.run_info import RunInfo


class CellLog(Observer):
    """Writes lines with method, domain, seed and OOP accuracy, or why there is none."""

    def run_started(self, run: RunInfo, folder: Path) -> None:
        """Remember the file."""
        self._path = folder / "cells.tsv"

    def cell_finished(self, cell: Cell) -> None:
        """Append the cell."""
        result = cell.failure.reason if cell.failure else f"{cell.metrics['oop_top1']:.3f}"
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{cell.spec.method.name}\t{cell.spec.domain}\t{cell.spec.seed}\t{result}\n")


@hookimpl
def harness_observer() -> Observer:
    """The observer."""
    return CellLog()
