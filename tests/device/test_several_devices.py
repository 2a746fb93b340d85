"""Cells and images divided among several devices, on a simulated one; how many cells share a device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.progress import NullReporter
from harness.results.leaderboard_file import BOARD
from harness.results.store import ResultStore
from harness.runner.device_share import cells_per_device, first_wave
from harness.runner.evaluate import evaluate
from harness.runner.plan import make_plan
from harness.runner.request import MethodChoice, Request

from ..datasets.roots import make_root
from .fake_cuda import fake_cuda

GIB = 2**30


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(
        tmp_path_factory.mktemp("root"), {"Animals3_OOP": ("auk", "ibex", "moth"), "Animals1_IP": ("cat",)}
    )


def request_of(root: Path, place: Path, devices: str, seeds: tuple[int, ...] = (1, 2)) -> Request:
    methods = (MethodChoice("zero_shot"), MethodChoice("tip_adapter"))
    options = {"shots": (1, 2), "seeds": seeds, "backbone": "beyond-mini", "workers": 1}
    return Request(methods, data=root, out=place / "results", cache=place / "cache", device=devices, **options)


def test_two_devices_give_the_leaderboard_of_one(root: Path, tmp_path: Path) -> None:
    boards = []
    for devices in ("cuda:0", "cuda:0,cuda:1"):
        with fake_cuda(devices=2):
            place = tmp_path / devices
            assert evaluate(request_of(root, place, devices, seeds=(1,))).succeeded
            boards.append((place / "results" / BOARD).read_bytes())
            assert all(cell.cost and cell.cost.peak_gpu_bytes for cell in ResultStore(place / "results").cells())
    assert boards[0] == boards[1]


def test_a_run_takes_devices_of_one_model_once(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    with fake_cuda(devices=2):
        with pytest.raises(UserError, match="--device cuda:0,cuda:0 names a device twice"):
            make_plan(request_of(root, tmp_path, "cuda:0,cuda:0"), NullReporter())
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"model of {device}")
        with pytest.raises(
            UserError, match=r"cuda:0 is cuda \(model of cuda:0\), and cuda:1 is .* devices of one model"
        ):
            make_plan(request_of(root, tmp_path, "cuda:0,cuda:1"), NullReporter())


def test_cells_that_share_a_device_fit_by_measured_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    with fake_cuda(devices=2):  # of 16 GiB
        assert cells_per_device([2 * GIB, None, GIB], ("cuda:0", "cuda:1")) == 4  # 14.4 / (2.5 + 0.6)
        assert cells_per_device([15 * GIB], ("cuda:0",)) == 1
        assert cells_per_device([1], ("cuda:0",)) == 16
        monkeypatch.setattr(os, "cpu_count", lambda: 6)
        assert cells_per_device([1], ("cuda:0", "cuda:1")) == 3
    assert cells_per_device([], ("cuda:0",)) == cells_per_device([None], ("cpu",)) == 1


def test_the_largest_cell_of_every_method_is_measured(root: Path, tmp_path: Path) -> None:
    plan = make_plan(request_of(root, tmp_path, "cpu"), NullReporter())
    measured = [(job.spec.method.name, job.spec.shots) for job in first_wave(plan.jobs)]
    assert measured == [("zero_shot", 0), ("tip_adapter", 2)]
