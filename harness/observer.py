"""Base class of observers: called at the start of a run, for every cell that it computes, and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # listing plugins does without
    from harness.types.cell import Cell
    from harness.types.leaderboard import Row
    from harness.types.run_info import RunInfo


class Observer:
    """Base class of observers, such as loggers; each method may be left out.

    The methods of one observer are called in one process, one after the other. What they change changes no result.
    """

    def run_started(self, run: RunInfo, folder: Path) -> None:
        """Called first, before anything is computed; an exception ends the command with a sentence.

        Args:
            run: what is run.
            folder: where to write files (``--logs``); it exists, and other runs write there too. Other folders that
                hold the results, the data or the cache, or were made later, may be out of reach.
        """

    def cell_finished(self, cell: Cell) -> None:
        """Called for every cell that the run computed, failed ones too (``cell.failure``), after it was stored.

        Cells that were known are left out. An exception is shown, and the observer is not called again.
        """

    def run_finished(self, rows: Sequence[Row]) -> None:
        """Called last, with the rows of the run; some are incomplete if the run was stopped or a cell failed."""
