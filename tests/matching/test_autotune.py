"""Which backend `auto` takes for tensors on a device, from tables made up here; no device is needed."""

import json
from contextlib import nullcontext
from operator import index
from types import SimpleNamespace

import pytest
import torch

from harness.errors import UserError
from harness.matching import crossover, native, operator
from harness.matching.crossover import Crossover, Point, load, own

TABLE = Crossover(
    "Some GPU",
    (
        Point(1, 100, {"cuda-fused": 0.2, "cuda": 0.3, "cpp": 0.1}),
        Point(64, 100, {"cuda-fused": 0.2, "cuda": 0.3, "cpp": 6.0}),
        Point(1, 1000, {"cuda": 2.0, "cpp": 20.0}),
    ),
)


@pytest.fixture
def table(tmp_path, monkeypatch):
    file = tmp_path / "crossover.json"
    file.write_text(json.dumps(TABLE.to_json()))
    monkeypatch.setenv("HARNESS_CROSSOVER", str(file))
    operator._table.cache_clear()
    yield file
    operator._table.cache_clear()


def test_file_round_trips(table):
    assert load("Some GPU") == TABLE


@pytest.mark.parametrize(
    ("case", "first"),
    [
        ((1, 100, 100), "cpp"),
        ((2, 80, 120), "cpp"),
        ((40, 100, 100), "cuda-fused"),
        ((1, 900, 1100), "cuda"),
        ((1, 4000, 4000), "cuda"),
        ((0, 0, 5), "cpp"),
    ],
)
def test_nearest_case_decides(case, first):
    assert TABLE.fastest_first(*case)[0] == first


def test_another_gpu_or_no_table_decides_nothing(table, tmp_path, monkeypatch):
    assert load("Another GPU").fastest_first(64, 100, 100) == ()
    monkeypatch.delenv("HARNESS_CROSSOVER")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "nothing"))
    assert load("Some GPU").fastest_first(64, 100, 100) == ()


def test_the_users_own_table_is_found_and_another_gpus_is_passed_over(table, tmp_path, monkeypatch):
    monkeypatch.delenv("HARNESS_CROSSOVER")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    assert own() == table
    assert load("Some GPU") == TABLE
    packaged = tmp_path / "packaged.json"
    packaged.write_text(json.dumps({**TABLE.to_json(), "gpu": "Another GPU"}))
    monkeypatch.setattr(crossover, "PACKAGED", packaged)
    monkeypatch.setattr(crossover, "own", lambda: table)
    assert load("Another GPU") == Crossover("Another GPU", TABLE.points)
    assert load("Some GPU") == TABLE


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1, "gpu": "x", "points": [{"batch": 1}]}'])
def test_a_broken_table_is_a_sentence(table, text):
    table.write_text(text)
    with pytest.raises(UserError, match="is no table of crossovers"):
        load("Some GPU")


@pytest.fixture
def device(table, monkeypatch):
    """A device of the table's model that takes everything but 300 rows fused."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")

    def obstacle(n, m, dimension, device, backend):
        return "does not fit" if backend == "cuda-fused" and max(n, m) >= 300 else None

    monkeypatch.setattr(operator, "_obstacle", obstacle)


@pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")
def test_auto_takes_the_fastest_that_can_be_had(device):
    assert operator._choose_on_device(64, 100, 100, 512, 0, "auto") == "cuda-fused"
    assert operator._choose_on_device(64, 30, 300, 512, 0, "auto") == "cuda"
    assert operator._choose_on_device(1, 100, 100, 512, 0, "auto") == "cpp"
    assert operator._choose_on_device(1, 100, 100, 512, 0, "cuda") == "cuda"
    with pytest.raises(UserError, match="backend 'cuda-fused' does not fit"):
        operator._choose_on_device(1, 300, 300, 512, 0, "cuda-fused")


@pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")
def test_kernels_that_the_driver_refuses_are_left_out(table, monkeypatch):
    """Built with a toolkit that is newer than the driver: `auto` goes on without them, who forces one is told why."""

    def refused(n, m):
        raise RuntimeError("no CUDA device: CUDA driver version is insufficient for CUDA runtime version")

    monkeypatch.setattr(native, "has_cuda", lambda: True)
    monkeypatch.setattr(native, "module", lambda: SimpleNamespace(fused_fits=refused))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    assert operator._choose_on_device(64, 100, 100, 512, 0, "auto") == "cpp"
    for backend in ("cuda", "cuda-fused"):
        with pytest.raises(UserError, match=f"'{backend}' cannot run on Some GPU: no CUDA device: CUDA driver"):
            operator._choose_on_device(64, 100, 100, 512, 0, backend)


@pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")
@pytest.mark.parametrize("dynamic", [False, True])
def test_the_choice_stays_inside_one_graph(device, dynamic):
    """torch.compile asks for the choice while it traces: no graph break, and a new answer for another shape."""

    def chosen(x):
        used = operator._choose_on_device(index(x.shape[0]), index(x.shape[1]), 100, 16, 0, "auto")
        return x + {"cpp": 1, "cuda": 2, "cuda-fused": 3}[used]

    compiled = torch.compile(chosen, fullgraph=True, backend="eager", dynamic=dynamic)
    assert compiled(torch.zeros(1, 100))[0, 0] == 1
    assert compiled(torch.zeros(64, 100))[0, 0] == 3
    assert compiled(torch.zeros(1, 3000))[0, 0] == 2
