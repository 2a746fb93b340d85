"""Logs a run to trackio: charts of all cells, and tables of cells and of the rows' means.

Local by default, in ``logs/trackio``; TRACKIO_DIR names another folder that exists. With TRACKIO_SERVER_URL or
TRACKIO_SPACE_ID the run goes to a trackio server or to a Space. https://github.com/gradio-app/trackio
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.hookspecs import hookimpl
from harness.loggers.flatten import PROJECT, chart_values, flat_cell, flat_row, import_or_explain, mean_values
from harness.observer import Observer
from harness.types.cell import Cell
from harness.types.leaderboard import Row
from harness.types.run_info import RunInfo


class TrackioLogger(Observer):
    """Sends a run to trackio."""

    def run_started(self, run: RunInfo, folder: Path) -> None:
        """Begin a run of trackio's, with the record of the run as its configuration."""
        os.environ.setdefault("TRACKIO_DIR", str(folder / "trackio"))  # trackio reads it when it is imported
        self._trackio = import_or_explain("trackio")
        self._cells: list[dict[str, Any]] = []
        self._trackio.init(
            project=PROJECT,
            name=run.name,
            config=run.model_dump(mode="json"),
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )

    def cell_finished(self, cell: Cell) -> None:
        """Log the cell as one step."""
        self._cells.append(flat_cell(cell))
        self._trackio.log(chart_values(self._cells[-1]))

    def run_finished(self, rows: Sequence[Row]) -> None:
        """Log the means and both tables, and end the run."""
        tables = {"cells": self._cells, "rows": [flat_row(row) for row in rows]}
        self._trackio.log(mean_values(rows) | {name: self._trackio.Table(data=data) for name, data in tables.items()})
        self._trackio.finish()


@hookimpl
def harness_observer() -> Observer:
    """The logger."""
    return TrackioLogger()
