"""Leaderboards for tests of figures and pages, with the figures that a test wants to see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.leaderboard.assemble import assemble
from harness.metrics.built_in import BUILT_IN
from harness.types.cell import Cell, Failure
from harness.types.leaderboard import Leaderboard, Row

from ..makers import make_spec

DOMAINS = ("Animals", "Food", "Plants_Fugi")


def cell(method: str, domain: str, shots: int, seed: int, value: float, /, **changes: Any) -> Cell:
    """A finished cell: OOP top-1 is the value, the other metrics follow from it."""
    record = {"name": method} | changes.pop("method", {})
    spec = make_spec(domain=domain, shots=shots, seed=seed, method=record, **changes)
    metrics = {metric: min(1.0, value + 0.01 * i) for i, metric in enumerate(BUILT_IN)}
    classes = {"oop": (value, 1.0, None, 0.0), "ip": (0.25, 0.75)}
    return Cell(spec=spec, metrics=metrics, per_class=classes, images={"oop": 30, "ip": 20})


def grid(method: str, shots: int, base: float, /, seeds: tuple[int, ...] = (1, 2, 3), **changes: Any) -> list[Cell]:
    """A whole row's cells: every domain a little better than the one before, every seed too."""
    return [
        cell(method, domain, shots, seed, round(base + 0.1 * i + 0.02 * seed, 4), **changes)
        for i, domain in enumerate(DOMAINS)
        for seed in seeds
    ]


def failed(method: str, domain: str, shots: int, seed: int, reason: str) -> Cell:
    """A cell that broke."""
    spec = make_spec(domain=domain, shots=shots, seed=seed, method={"name": method})
    return Cell(spec=spec, failure=Failure(kind="error", reason=reason))


def study() -> list[Cell]:
    """Zero-shot, a method at three numbers of shots, and one that broke on a domain."""
    cells = grid("zero_shot", 0, 0.1)
    for shots in (1, 4, 16):
        cells += grid("fsnl", shots, 0.3 + 0.02 * shots)
    broken = [c for c in grid("fragile", 4, 0.2) if c.spec.domain != "Food" or c.spec.seed != 2]
    return [*cells, *broken, failed("fragile", "Food", 4, 2, "out of memory")]


def board(cells: list[Cell]) -> Leaderboard:
    """Their leaderboard."""
    return assemble(cells)


def rows(cells: list[Cell]) -> list[Row]:
    """Their rows."""
    return list(board(cells).rows)


def write(cells: list[Cell], file: Path) -> Path:
    """Their leaderboard as a file."""
    file.write_text(board(cells).text(), encoding="utf-8")
    return file
