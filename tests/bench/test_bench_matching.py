"""`harness bench matching`: pytest-benchmark's times, the ratios that follow, floors, and the timings for `auto`.

The times are taken by harness/matching/bench/timing.py; nothing here times anything for its own sake.
"""

import json
from pathlib import Path

import pytest

from harness.cli import bench
from harness.errors import StorageError, UserError
from harness.matching import autotune, native
from harness.matching.bench import measure

pytest.importorskip("lap")
pytestmark = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")


def report(times):
    """What pytest-benchmark would write: (case, contender, seed) -> seconds."""
    names = ("part", "device", "batch", "n", "threads")
    return {
        "benchmarks": [
            {
                "extra_info": {**dict(zip(names, case, strict=True)), "contender": name, "seed": seed},
                "stats": {"median": seconds},
            }
            for (case, name, seed), seconds in times.items()
        ]
    }


def test_ratios_are_taken_seed_by_seed():
    case = ("call", "cpu", 2, 20, 1)
    ours, theirs = [1.0, 2.0, 4.0], [3.0, 4.0, 4.0]
    times = {(case, "ours", seed): s for seed, s in enumerate(ours)}
    times |= {(case, "lapx", seed): s for seed, s in enumerate(theirs)}
    (row,) = measure.ratios(report(times))
    assert row == measure.PeerRatio(*case, "lapx", 2000.0, 4000.0, 2.0, 1.0)
    assert row.key == "call/cpu/2x20/one-thread/lapx"


def test_command_measures_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "a_plugin_of_the_callers_tests")
    monkeypatch.setattr(measure, "SIZES", ((2, 20),))
    file = tmp_path / "made" / "matching.json"
    assert bench.bench_matching(check=False, json_out=file, seeds=3, threads=2, device="cpu") == 0
    written = json.loads(file.read_text())
    assert written["seeds"] == 3
    assert {(row["part"], row["peer"], row["threads"]) for row in written["rows"]} == {
        (part, peer, threads)
        for part in ("assignment", "call")
        for peer, threads in (("lapx", 1), ("scipy", 1), ("lapx", 2))
    }
    assert "pytest-benchmark" in written["versions"]
    printed = capsys.readouterr()
    assert "peer / ours" in printed.out
    runs = measure.count_tests([("cpu", 2, 20, 1), ("cpu", 2, 20, 2)], seeds=3)
    assert f"timing: done, {runs} runs" in printed.err


@pytest.mark.parametrize(("floor", "code"), [(1e-9, 0), (1e9, 3)])
def test_check_compares_with_the_floors(monkeypatch, capsys, floor, code):
    monkeypatch.setattr(measure, "SIZES", ((1, 20),))
    standards = bench.Standards(floors={"assignment/cpu/1x20/one-thread/lapx": floor})
    monkeypatch.setattr(bench, "_standards", lambda: standards)
    assert bench.bench_matching(check=True, json_out=None, seeds=2, threads=1, device="cpu") == code
    assert ("below its floor" in capsys.readouterr().err) == (code == 3)


def test_failing_contender_raises_user_error():
    with pytest.raises(UserError, match="a contender of the benchmark failed"):
        measure.run([("cpu", 1, 4, -1)], 1, lambda _: None)


def test_the_prototype_and_the_goals_are_of_cases_that_are_measured():
    content = json.loads(Path(measure.__file__).with_name("floors.json").read_text())
    sizes = {f"{batch}x{n}" for batch, n in measure.GPU_SIZES}
    assert set(content["prototype"]["ms"]) <= sizes
    assert {tuple(key.split("/")[1:3]) for key in content["goals"]} <= {("cuda", size) for size in sizes}
    standards = bench.Standards(prototype_ms=content["prototype"]["ms"], goals=content["goals"])
    row = measure.PeerRatio("call", "cuda", 64, 113, 2, "scipy", 0.3, 60.0, 200.0, 150.0)
    assert standards.goal(row) == 330
    assert standards.failures([row]) == ["cuda 64 x 113: 0.300 ms, the prototype took 0.218 ms"]


def test_floors_name_cases_that_are_measured():
    for key in bench._standards().floors:
        part, device, size, threads, peer = key.split("/")
        assert part in ("assignment", "call")
        assert tuple(map(int, size.split("x"))) in measure.SIZES
        assert (device, peer) in (("cpu", "lapx"), ("cpu", "scipy"))
        assert threads in ("one-thread", "threads")


def test_committed_figures_hold_the_floors():
    file = autotune.PACKAGED.parents[2] / "leaderboards" / "benchmarks" / "matching_cpu.json"
    if not file.is_file():
        pytest.skip("needs the source tree")
    content = json.loads(file.read_text())
    rows = [measure.PeerRatio(**row) for row in content["rows"]]
    floors = bench._standards()
    assert content["seeds"] >= 20
    assert floors.failures(rows) == []
    assert set(floors.floors) <= {row.key for row in rows}


@pytest.mark.parametrize(("place", "reason"), [("", "is a directory"), ("file/made/it.json", "not a directory")])
def test_a_place_for_the_figures_is_wanted_before_they_are_measured(tmp_path, monkeypatch, place, reason):
    (tmp_path / "file").touch()
    monkeypatch.setattr(bench, "_devices", lambda device: (device,))
    monkeypatch.setattr(bench, "_timed", lambda cases, seeds: pytest.fail("it was measured"))
    with pytest.raises(StorageError, match=f"the benchmark cannot be written to .*: {reason}"):
        bench.bench_matching(check=False, json_out=tmp_path / place, device="cpu")
    with pytest.raises(StorageError, match=f"the benchmark cannot be written to .*: {reason}"):
        bench.bench_autotune(tmp_path / place)


def test_autotune_writes_timings_that_auto_reads(tmp_path, monkeypatch, capsys):
    """From measured times to the file, with invented times: no device is needed."""
    made_up = {"cuda-fused": 0.2, "cuda": 0.3, "cpp": 0.1}
    times = {
        (("call", "cuda", batch, n, 2), backend, seed): s * (batch if backend == "cpp" else 1) / 1000
        for batch, n in ((1, 100), (64, 100))
        for backend, s in made_up.items()
        for seed in range(3)
    }
    monkeypatch.setattr(bench, "_devices", lambda device: (device,))
    monkeypatch.setattr(bench, "_gpu_model", lambda: "Some GPU")
    monkeypatch.setattr(bench, "_timed", lambda asked, seeds: report(times))
    monkeypatch.delenv("HARNESS_AUTOTUNE", raising=False)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    assert bench.bench_autotune(None, seeds=3) == 0
    assert "fastest" in capsys.readouterr().out
    timings = autotune.load("Some GPU")
    assert timings.fastest_first(1, 100, 100) == ("cpp", "cuda-fused", "cuda")
    assert timings.fastest_first(64, 100, 100) == ("cuda-fused", "cuda", "cpp")


def test_no_device_is_a_sentence(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="cannot measure on a GPU"):
        bench.bench_matching(check=False, json_out=None, device="cuda")
    with pytest.raises(UserError, match="cannot measure on a GPU"):
        bench.bench_autotune(None)
    with pytest.raises(UserError, match="no device named 'tpu'"):
        bench.bench_matching(check=False, json_out=None, device="tpu")
