"""Cells and rows as flat tables: one dictionary of plain values each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from harness.errors import PluginError
from harness.types.cell import Cell
from harness.types.leaderboard import Row

PROJECT = "laion-beyond"
"""Name of the project that runs belong to."""


def flat_cell(cell: Cell) -> dict[str, Any]:
    """What identifies a cell, its metrics as fractions, its seconds, and why it failed (None if it did not)."""
    spec, cost = cell.spec, cell.cost
    return {
        "protocol": spec.protocol,
        "domain": spec.domain,
        "method": spec.method.name,
        "shots": spec.shots,
        "seed": spec.seed,
        "fit_seconds": cost.fit_seconds if cost else None,
        "score_seconds": cost.score_seconds if cost else None,
        "failure": cell.failure.reason if cell.failure else None,
        **cell.metrics,
    }


def flat_row(row: Row) -> dict[str, Any]:
    """What identifies a row, whether it is complete, and its means over domains as fractions."""
    return {
        "protocol": row.protocol,
        "method": row.method,
        "shots": row.shots,
        "row": row.id,
        "domains": len(row.domains),
        "complete": row.complete,
        **{metric: stat.mean for metric, stat in row.mean.items()},
    }


def chart_values(record: Mapping[str, Any]) -> dict[str, Any]:
    """A flat cell as values of charts: metrics and seconds as ``fsnl@4/oop_top1``, and what else identifies it."""
    flat = {key: value for key, value in record.items() if value is not None}
    what = {key: flat.pop(key) for key in ("protocol", "domain", "method", "shots", "seed", "failure") if key in flat}
    return what | {f"{what['method']}@{what['shots']}/{key}": value for key, value in flat.items()}


def mean_values(rows: Iterable[Row]) -> dict[str, float]:
    """The means of rows over domains, as ``mean/fsnl@4/oop_top1``."""
    return {f"mean/{row.method}@{row.shots}/{key}": stat.mean for row in rows for key, stat in row.mean.items()}


def as_table(records: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Columns, in the order of their first appearance, and lines of records; None where a record lacks a column."""
    names = list(dict.fromkeys(key for record in records for key in record))
    return names, [[record.get(name) for name in names] for record in records]


def import_or_explain(package: str) -> ModuleType:
    """A package of an optional extra of the same name.

    Raises:
        PluginError: it is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise PluginError(f'{package} is not installed: pip install "laion-beyond-harness[{package}]"') from None
