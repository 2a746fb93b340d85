"""Which backend "auto" chooses for tensors on a device, from invented timings; no device is needed."""

import json
from contextlib import nullcontext
from operator import index
from types import SimpleNamespace

import pytest
import torch

from harness.errors import DataError, UserError
from harness.matching import autotune, native, torch_op
from harness.matching.autotune import TimedCase, Timings, load, user_file

TIMINGS = Timings(
    "Some GPU",
    (
        TimedCase(1, 100, {"cuda-fused": 0.2, "cuda": 0.3, "cpp": 0.1}),
        TimedCase(64, 100, {"cuda-fused": 0.2, "cuda": 0.3, "cpp": 6.0}),
        TimedCase(1, 1000, {"cuda": 2.0, "cpp": 20.0}),
    ),
)


@pytest.fixture
def timings_file(tmp_path, monkeypatch):
    file = tmp_path / "autotune.json"
    file.write_text(json.dumps(TIMINGS.to_json()))
    monkeypatch.setenv("HARNESS_AUTOTUNE", str(file))
    torch_op._timings.cache_clear()
    yield file
    torch_op._timings.cache_clear()


def test_file_round_trip_preserves_timings(timings_file):
    assert load("Some GPU") == TIMINGS


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
def test_nearest_measured_case_decides(case, first):
    assert TIMINGS.fastest_first(*case)[0] == first


def test_timings_of_another_gpu_or_no_file_give_no_order(timings_file, tmp_path, monkeypatch):
    assert load("Another GPU").fastest_first(64, 100, 100) == ()
    monkeypatch.delenv("HARNESS_AUTOTUNE")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "nothing"))
    assert load("Some GPU").fastest_first(64, 100, 100) == ()


def test_user_file_comes_first_and_files_of_other_gpus_are_skipped(timings_file, tmp_path, monkeypatch):
    monkeypatch.delenv("HARNESS_AUTOTUNE")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    assert user_file() == timings_file
    assert load("Some GPU") == TIMINGS
    packaged = tmp_path / "packaged.json"
    packaged.write_text(json.dumps({**TIMINGS.to_json(), "gpu": "Another GPU"}))
    monkeypatch.setattr(autotune, "PACKAGED", packaged)
    monkeypatch.setattr(autotune, "user_file", lambda: timings_file)
    assert load("Another GPU") == Timings("Another GPU", TIMINGS.cases)
    assert load("Some GPU") == TIMINGS


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1, "gpu": "x", "cases": [{"batch": 1}]}'])
def test_damaged_file_raises_user_error(timings_file, text):
    timings_file.write_text(text)
    with pytest.raises(DataError, match="does not contain timings of backends"):
        load("Some GPU")


@pytest.fixture
def device(timings_file, monkeypatch):
    """A device of the model in TIMINGS, on which 300 rows do not fit the fused kernel."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")

    def obstacle(n, m, dimension, device, backend):
        return "does not fit" if backend == "cuda-fused" and max(n, m) >= 300 else None

    monkeypatch.setattr(torch_op, "_obstacle", obstacle)


@pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")
def test_auto_chooses_the_fastest_available_backend(device):
    assert torch_op._choose_on_device(64, 100, 100, 512, 0, "auto") == "cuda-fused"
    assert torch_op._choose_on_device(64, 30, 300, 512, 0, "auto") == "cuda"
    assert torch_op._choose_on_device(1, 100, 100, 512, 0, "auto") == "cpp"
    assert torch_op._choose_on_device(1, 100, 100, 512, 0, "cuda") == "cuda"
    with pytest.raises(UserError, match="backend 'cuda-fused' does not fit"):
        torch_op._choose_on_device(1, 300, 300, 512, 0, "cuda-fused")


@pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")
def test_auto_skips_kernels_that_the_driver_refuses(timings_file, monkeypatch):
    """Built with a toolkit newer than the driver: "auto" uses the CPU, and a forced backend raises the reason."""

    def refused(n, m):
        raise RuntimeError("no CUDA device: CUDA driver version is insufficient for CUDA runtime version")

    monkeypatch.setattr(native, "has_cuda", lambda: True)
    monkeypatch.setattr(native, "module", lambda: SimpleNamespace(fused_fits=refused))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    assert torch_op._choose_on_device(64, 100, 100, 512, 0, "auto") == "cpp"
    for backend in ("cuda", "cuda-fused"):
        with pytest.raises(UserError, match=f"'{backend}' cannot run on Some GPU: no CUDA device: CUDA driver"):
            torch_op._choose_on_device(64, 100, 100, 512, 0, backend)


@pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")
@pytest.mark.parametrize("dynamic", [False, True])
def test_choice_does_not_break_the_graph(device, dynamic):
    """torch.compile chooses while it traces: no graph break, and a new choice for another shape."""

    def chosen(x):
        used = torch_op._choose_on_device(index(x.shape[0]), index(x.shape[1]), 100, 16, 0, "auto")
        return x + {"cpp": 1, "cuda": 2, "cuda-fused": 3}[used]

    compiled = torch.compile(chosen, fullgraph=True, backend="eager", dynamic=dynamic)
    assert compiled(torch.zeros(1, 100))[0, 0] == 1
    assert compiled(torch.zeros(64, 100))[0, 0] == 3
    assert compiled(torch.zeros(1, 3000))[0, 0] == 2
