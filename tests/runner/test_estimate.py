"""The time and memory of a run, expected by the costs of cells that were computed before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.results.store import ResultStore
from harness.runner.estimate import estimate
from harness.types.cell import Cost

from ..e2e.conftest import cache, harness, world  # noqa: F401 - fixtures
from ..makers import make_cell, make_spec


def job(**changes: Any) -> Any:
    return SimpleNamespace(spec=make_spec(**changes))


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    made = ResultStore(tmp_path)
    for seed, seconds, shots in ((1, 1.0, 4), (2, 3.0, 4), (3, 10.0, 8)):
        cost = Cost(fit_seconds=seconds, score_seconds=1.0, trainable=1, peak_host_bytes=int(seconds * 1e9))
        made.put(make_cell(seed=seed, shots=shots).model_copy(update={"cost": cost}))
    return made


def test_a_cell_is_expected_to_cost_as_those_of_its_like(store: ResultStore) -> None:
    found = estimate([job(seed=4), job(seed=5), job(seed=4, shots=8), job(method={"name": "coop"})], store)
    assert (found.cells, found.of, dict(found.unknown)) == (3, 3, {"coop": 1})
    assert (found.low, found.expected, found.high) == (2 + 2 + 11, 3 + 3 + 11, 4 + 4 + 11)
    assert (found.host_bytes, found.gpu_bytes) == (10**10, None)


def test_without_like_cells_less_alike_ones_count_but_none_of_another_device(store: ResultStore) -> None:
    found = estimate([job(domain="Food"), job(shots=16)], store)
    assert (found.low, found.expected, found.high) == (2 + 2, 3 + 17 / 3, 4 + 11)
    assert estimate([job(device="cuda (H)")], store).cells == 0
    assert estimate([job()], ResultStore(store.root / "nothing")).unknown == {"fsnl": 1}


def test_a_dry_run_says_what_to_expect(harness, world, tmp_path):  # noqa: F811
    where = ("--data", world, "--out", tmp_path / "results", "--backbone", "beyond-mini", "--workers", "1")
    assert harness("evaluate", "--plugin", "zero_shot", "--domain", "Animals", *where).code == 0
    out = ("--out", tmp_path / "results", "--data", world, "--backbone", "beyond-mini", "--workers", "2")
    answer = harness("evaluate", "--plugin", "zero_shot,fsnl", "--seeds", "1", *out, "--dry-run")
    first, *_, expected, memory, unknown = answer.out.splitlines()
    assert first.startswith("6 cells: 1 known, 5 to run (2 methods, 3 domains, shots 4, seeds 1)")
    assert expected.startswith("expected for 2 cells, by 1 cell of earlier runs: 0:0")
    assert expected.endswith(" on 2 workers")
    assert memory.startswith("peak memory: ")
    assert unknown == "no earlier cell says how long 3 cells take: fsnl"
    document = harness("evaluate", "--plugin", "zero_shot", *out, "--dry-run", "--json").json
    assert document["expected"]["cells"] == document["to_run"] == 2
    assert document["expected"]["workers"] == 2
