"""Memory of the driver does not grow beyond 1 GB for 100,000 cells."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from harness.results.store import ResultStore
from harness.types.cell import Cell

from ..makers import make_cell

CELLS = 300


def test_known_cells_of_a_large_run_fit_into_memory(tmp_path: Path) -> None:
    store, shared = ResultStore(tmp_path), make_cell().spec
    per_class = {"oop": (0.5,) * 92, "ip": (0.25,) * 42}
    specs = [shared.model_copy(update={"seed": seed}) for seed in range(CELLS)]
    for spec in specs:
        store.put(make_cell().model_copy(update={"spec": spec, "per_class": per_class}))
    keys = [spec.key for spec in specs]
    tracemalloc.start()
    known = store.known(keys, lambda note: None)
    kept: dict[str, Cell] = {spec.key: known.pop(spec.key).model_copy(update={"spec": spec}) for spec in specs}
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == CELLS
    assert size / CELLS * 100_000 < 1e9
