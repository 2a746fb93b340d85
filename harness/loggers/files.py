"""Logs a run to files: ``run.json``, ``cells.jsonl`` as cells are finished, and ``cells.csv``, ``rows.csv`` at its end.

They are in a folder of the run's own, ``logs/20260314-150926-9f3a``. pandas reads each of them:
``pandas.read_json(path, lines=True)``, ``pandas.read_csv(path)``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.files import save
from harness.hookspecs import hookimpl
from harness.loggers.flatten import as_table, flat_cell, flat_row
from harness.observer import Observer
from harness.types.cell import Cell
from harness.types.leaderboard import Row
from harness.types.run_info import RunInfo

HINT = "choose another folder with --logs"


class FileLogger(Observer):
    """Writes a run to files."""

    def run_started(self, run: RunInfo, folder: Path) -> None:
        """Write ``run.json``, and an empty ``cells.jsonl``."""
        self._folder, self._cells = folder / run.name, list[dict[str, Any]]()
        self._write("run.json", run.model_dump_json(indent=1) + "\n")
        self._write("cells.jsonl", "")

    def cell_finished(self, cell: Cell) -> None:
        """Add a line to ``cells.jsonl``."""
        self._cells.append(flat_cell(cell))
        with (self._folder / "cells.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(self._cells[-1]) + "\n")

    def run_finished(self, rows: Sequence[Row]) -> None:
        """Write ``cells.csv`` and ``rows.csv``."""
        self._write("cells.csv", _csv(self._cells))
        self._write("rows.csv", _csv([flat_row(row) for row in rows]))

    def _write(self, name: str, text: str) -> None:
        save(self._folder / name, text.encode(), "the log", HINT)


def _csv(records: Sequence[dict[str, Any]]) -> str:
    names, lines = as_table(records)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([names, *lines])
    return out.getvalue()


@hookimpl
def harness_observer() -> Observer:
    """The logger."""
    return FileLogger()
