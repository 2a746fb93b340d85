"""Matching and its peers under pytest-benchmark: `pytest tests/bench --benchmark-only`.

One round per seed of the CLIP-like generator; `harness bench matching` compares the same sides pair by pair.
"""

import itertools
import json

import pytest

from harness.cli import bench
from harness.matching import benchmark as cases
from harness.matching import native

pytest.importorskip("lap")
pytestmark = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")

SEEDS = 20
SMALL = [size for size in cases.SIZES if size != (16, 1000)]  # scipy alone would take a minute


@pytest.mark.parametrize("side", ["ours", "lapx", "scipy"])
@pytest.mark.parametrize("part", ["assignment", "call"])
@pytest.mark.parametrize(("batch", "n"), SMALL)
def test_bench(benchmark, batch, n, part, side):
    benchmark.group = f"{part} {batch} x {n}, one thread"
    seeds = itertools.count()

    def setup():
        run = sides(next(seeds), batch, n)[part][side]
        return (run,), {}

    benchmark.pedantic(lambda run: run(), setup=setup, rounds=SEEDS, warmup_rounds=1)


def sides(seed, batch, n):
    return cases.cpu_sides(seed, batch, n, threads=1)


def test_command_measures_checks_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cases, "SIZES", ((2, 20),))
    file = tmp_path / "made" / "matching.json"
    assert bench.bench_matching(check=False, json_out=file, seeds=3, threads=2) == 0
    written = json.loads(file.read_text())
    assert written["seeds"] == 3
    assert {row["peer"] for row in written["rows"]} == {"lapx", "scipy"}
    assert {row["part"] for row in written["rows"]} == {"assignment", "call"}
    assert "peer / ours" in capsys.readouterr().out


@pytest.mark.parametrize(("floor", "code"), [(1e-9, 0), (1e9, 3)])
def test_check_compares_with_the_floors(monkeypatch, floor, code):
    monkeypatch.setattr(cases, "SIZES", ((1, 20),))
    monkeypatch.setattr(bench, "_floors", lambda: {"assignment/cpu/1x20/one-thread/lapx": floor})
    assert bench.bench_matching(check=True, json_out=None, seeds=2, threads=1) == code


def test_floors_name_cases_that_are_measured():
    for key in bench._floors():
        part, device, size, threads, peer = key.split("/")
        assert part in ("assignment", "call")
        assert tuple(map(int, size.split("x"))) in cases.SIZES
        assert (device, peer) in (("cpu", "lapx"), ("cpu", "scipy"))
        assert threads in ("one-thread", "threads")
