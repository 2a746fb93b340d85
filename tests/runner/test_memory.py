"""Memory of the driver: cells are in memory for one row at a time, whatever their number."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.leaderboard import update
from harness.leaderboard.assemble import assemble
from harness.leaderboard.assemble_stored import assemble_stored
from harness.leaderboard.update import update_leaderboard
from harness.results.leaderboard_file import BOARD
from harness.results.store import ResultStore
from harness.types.cell import Spec

from ..makers import make_cell, make_spec

ROWS, SEEDS = 10, range(1, 16)
PER_CLASS = {"oop": (0.5,) * 92, "ip": (0.25,) * 42}
"""Of the largest domain of LAION-Beyond."""

MOST = 8000
"""Bytes a cell, mostly of rows and of one row's cells; with all cells in memory it is more than twice that."""

PAIRS = [("Animals", seed) for seed in SEEDS]


@pytest.fixture
def specs() -> list[Spec]:
    return [make_spec(seed=seed, method={"parameters": {"lr": row}}) for row in range(ROWS) for seed in SEEDS]


@pytest.fixture
def store(tmp_path: Path, specs: list[Spec]) -> ResultStore:
    found = ResultStore(tmp_path)
    for spec in specs:
        found.put(make_cell().model_copy(update={"spec": spec, "per_class": PER_CLASS}))
    return found


def peak(call: Callable[[], object]) -> float:
    """Bytes a cell while something is called."""
    call()  # what is imported and cached on first use
    tracemalloc.start()
    call()
    _, found = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return found / ROWS / len(SEEDS)


def test_cells_of_a_run_are_in_memory_for_one_row_at_a_time(store: ResultStore, specs: list[Spec]) -> None:
    keys = [spec.key for spec in specs]
    assert peak(lambda: store.known(keys, pytest.fail)) < MOST
    assert peak(lambda: assemble_stored(specs, store.latest, PAIRS)) < MOST
    assert peak(lambda: assemble(store.cells(), PAIRS)) > 2 * MOST
    assert assemble_stored(specs, store.latest, PAIRS) == assemble(store.cells(), PAIRS)


def test_new_cells_beyond_some_are_read_again_for_their_row(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write() -> bytes:
        (store.root / "index.json").unlink(missing_ok=True)
        update_leaderboard(store)
        return (store.root / BOARD).read_bytes()

    whole, in_memory = write(), peak(write)
    monkeypatch.setattr(update, "IN_MEMORY", len(SEEDS))
    assert write() == whole
    assert peak(write) < MOST
    assert in_memory > 2 * MOST
