"""Logs a run to Weights & Biases: charts of all cells, and tables of cells and of the rows' means.

The variables of wandb decide where: WANDB_MODE=offline writes ``logs/wandb``, which ``wandb sync`` uploads later;
WANDB_BASE_URL is a server of one's own; WANDB_PROJECT and WANDB_ENTITY as usual.
https://docs.wandb.ai/models/ref/sdk-coding-guide/environment-variables
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.hookspecs import hookimpl
from harness.loggers.flatten import PROJECT, as_table, chart_values, flat_cell, flat_row, import_or_explain, mean_values
from harness.observer import Observer
from harness.types.cell import Cell
from harness.types.leaderboard import Row
from harness.types.run_info import RunInfo


class WandbLogger(Observer):
    """Sends a run to Weights & Biases."""

    def run_started(self, run: RunInfo, folder: Path) -> None:
        """Begin a run of wandb's, with the record of the run as its configuration."""
        os.environ.setdefault("WANDB_DATA_DIR", str(folder / "wandb"))
        self._wandb = import_or_explain("wandb")
        self._cells: list[dict[str, Any]] = []
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.name,
            config=run.model_dump(mode="json"),
            dir=os.environ.get("WANDB_DIR", str(folder)),
            settings=self._wandb.Settings(console="off", disable_git=True, save_code=False, x_disable_stats=True),
        )

    def cell_finished(self, cell: Cell) -> None:
        """Log the cell as one step."""
        self._cells.append(flat_cell(cell))
        self._run.log(chart_values(self._cells[-1]))

    def run_finished(self, rows: Sequence[Row]) -> None:
        """Log the means and both tables, and end the run."""
        tables = {"cells": self._cells, "rows": [flat_row(row) for row in rows]}
        self._run.log(mean_values(rows) | {name: self._table(records) for name, records in tables.items()})
        self._run.finish()

    def _table(self, records: Sequence[dict[str, Any]]) -> Any:
        names, lines = as_table(records)
        return self._wandb.Table(columns=names, data=lines, allow_mixed_types=True)


@hookimpl
def harness_observer() -> Observer:
    """The logger."""
    return WandbLogger()
