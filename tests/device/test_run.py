"""Whole runs on a simulated CUDA device, and on a real one where there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.cli.main import execute
from harness.conformance.subject import Subject
from harness.conformance.suite import run_check
from harness.errors import UserError
from harness.feature_cache.contents import list_encoders
from harness.feature_cache.image_encoder import ImageEncoder
from harness.feature_cache.kinds import global_features
from harness.matching import autotune, check_backends, match, native
from harness.matching.bench import contenders
from harness.matching.result import Matching
from harness.progress import NullReporter
from harness.results.store import ResultStore
from harness.runner import evaluate as runner
from harness.runner.plan import make_plan
from harness.runner.reproduce import LocalPaths, reproduce
from harness.runner.request import MethodChoice, Outcome, Request
from harness_plugins.zero_shot import ZeroShot

from ..datasets.roots import make_root, write_texts
from ..feature_cache.test_encode import FakeModel, backbone
from ..plugins.tasks import classes
from .conftest import Cuda
from .fake_cuda import fake_cuda

needs_cpp = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")

QUICK = {"epochs": 2, "restarts": 3}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("great_auk", "ibex", "moth", "rose")
    return make_root(tmp_path_factory.mktemp("root"), {"Animals4_OOP": names, "Animals2_IP": ("cat", "dog")})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def request_of(root: Path, cache: Path, out: Path, *methods: str, **options: Any) -> Request:
    choices = tuple(
        MethodChoice(name, parameters={key: value for key, value in QUICK.items() if hasattr(classes()[name], key)})
        for name in methods or ON_A_RESNET
    )
    settings: dict[str, Any] = {"shots": (2,), "seeds": (1,), "device": "cuda", "workers": 3} | options
    place = {"data": root, "cache": cache, "out": out, "texts": write_texts(cache.parent / "texts.json")}
    return Request(methods=choices, backbone="beyond-mini", **place, **settings)


ON_A_RESNET = [name for name, cls in sorted(classes().items()) if not cls.needs.model and not cls.needs.tokens]
"""Methods but for those that tune a vision transformer or read its patch tokens."""


def run(*arguments: Any, **options: Any) -> Outcome:
    return runner.evaluate(request_of(*arguments, **options))


@pytest.mark.parametrize(
    "methods",
    [
        pytest.param(("zero_shot", "tip_adapter", "coop", "fsnl", "transclip", "zsnl"), id="typical methods"),
        pytest.param((), id="every method", marks=pytest.mark.slow),
    ],
)
def test_methods_run_and_are_cached(
    methods: tuple[str, ...], root: Path, cache: Path, tmp_path: Path, cuda: Cuda
) -> None:
    there = run(root, cache, tmp_path / "there", *methods)
    assert there.succeeded
    assert {row.device for row in there.leaderboard.rows} == {f"cuda ({torch.cuda.get_device_name(0)})"}
    assert run(root, cache, tmp_path / "there", *methods).computed == 0
    here = run(root, cache, tmp_path / "there", *methods, device="cpu", workers=1)
    assert here.computed == there.computed  # a cell of one device is never one of another
    for one, other in zip(there.leaderboard.rows, here.leaderboard.rows, strict=True):
        assert one.method == other.method
        scores = [row.domains["Animals"]["oop_top1"].mean for row in (one, other)]
        assert abs(scores[0] - scores[1]) <= 0.2, one.method  # of twelve images two, which lie between two names
    costs = [cell.cost for cell in ResultStore(tmp_path / "there").cells() if cell.spec.device.startswith("cuda")]
    assert all(cost is not None and cost.peak_gpu_bytes for cost in costs)
    encoders = {entry.description.partition(" on ")[2] for entry in list_encoders(cache / "features")}
    assert {f"cuda ({torch.cuda.get_device_name(0)})", "cpu"} <= encoders


def test_clustering_runs_too(root: Path, cache: Path, tmp_path: Path, cuda: Cuda) -> None:
    assert run(root, cache, tmp_path, "kmeans_naming", "zsnl", protocol="clustering").succeeded


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_precisions(precision: Any, root: Path, cache: Path, tmp_path: Path, cuda: Cuda) -> None:
    assert run(root, cache, tmp_path, "zero_shot", "fsnl", precision=precision).succeeded


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_settings_of_a_run(
    precision: Any, root: Path, cache: Path, tmp_path: Path, cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch leaves to chance or to other libraries is settled: order of sums, algorithms, TF32 in every place."""
    seen: list[tuple[Any, ...]] = []
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # torch's own default
    torch.use_deterministic_algorithms(False)
    whole = ZeroShot.fit

    def fit(self: ZeroShot, task: Any) -> ZeroShot:
        tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        products = torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
        algorithms = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
        seen.append((*tf32, products, *algorithms, os.environ.get("CUBLAS_WORKSPACE_CONFIG"), task.generator.device))
        assert task.device == task.text.encode([task.template.fill("ibex", "animal")]).device
        return whole(self, task)

    monkeypatch.setattr(ZeroShot, "fit", fit)
    assert run(root, cache, tmp_path, "zero_shot", precision=precision).succeeded
    tf32 = precision == "tf32"
    assert seen == [(tf32, tf32, False, True, False, ":4096:8", torch.device("cpu"))]


def test_timing_synchronises_device(
    root: Path, cache: Path, tmp_path: Path, cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    whole = ZeroShot.fit
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: events.append("wait"))
    monkeypatch.setattr(ZeroShot, "fit", lambda self, task: [events.append("fit"), whole(self, task)][1])
    assert run(root, cache, tmp_path, "zero_shot").succeeded
    assert events == ["wait", "fit", "wait"]


def test_scored_images_are_sent_to_the_device_once(root: Path, cache: Path, tmp_path: Path) -> None:
    """Another seed sends its own support and prompts, and not the features of the test images again."""
    sent = []
    for seeds in ((1,), (1,), (1, 2, 3)):  # the first run encodes
        with fake_cuda() as fake:
            run(root, cache, tmp_path / str(len(sent)), "zero_shot", seeds=seeds)
            sent.append(fake.waits.sent)
    features = 4 * 128 * (4 + 2) * 3
    assert sent[2] - sent[1] < features


def test_devices_by_number(root: Path, cache: Path, tmp_path: Path) -> None:
    with fake_cuda(devices=2) as fake:
        assert (
            make_plan(request_of(root, cache, tmp_path, "zero_shot", device="auto"), NullReporter()).device == "cuda:0"
        )
        assert run(root, cache, tmp_path, "zero_shot", device="cuda:1").succeeded
        assert fake.current == 1
        with pytest.raises(UserError, match="'cuda:7'"):
            run(root, cache, tmp_path, "zero_shot", device="cuda:7")


def test_row_is_reproduced_on_same_or_other_device(
    root: Path, cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    here = LocalPaths(root, cache=cache)
    with fake_cuda():
        (row,) = run(root, cache, tmp_path, "coop").leaderboard.rows
        again = reproduce(row, here, NullReporter(), lambda _: None)
        assert (again.settings, again.results) == ((), ())
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA device"):
            reproduce(row, here, NullReporter(), lambda _: None)
    words = ["--data", str(root), "--cache", str(cache), "--workers", "1", "--json"]
    assert execute(["reproduce", f"{tmp_path}#coop", "--device", "cpu", *words]) in (0, 3)
    (difference,) = json.loads(capfd.readouterr().out)["settings"]
    assert difference["where"] == "device"


def test_conformance_where_there_is_a_device(cuda: Cuda) -> None:
    """The checks are run on the CPU, also where a method could go elsewhere."""
    subject = Subject("clip_adapter", classes()["clip_adapter"](epochs=20))
    checks = ("global_state_untouched", "same_seed_same_scores", "hidden_labels", "beats_chance", "runs_on_cpu")
    assert [run_check(check, subject).state for check in checks] == ["passed"] * len(checks)


def test_out_of_memory_frees_cache_and_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is given back, no error holds on to the tensors of the batch that was too large."""
    with fake_cuda() as fake:
        model = FakeModel(fail_above=64)
        made = backbone(model)
        made.device = torch.device("cuda", 0)
        held: list[Any] = []
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: held.append(sys.exc_info()[1]))
        extractor = global_features(made)
        encoded = ImageEncoder(extractor)._encode(torch.ones(100, 3, 8, 8))
        assert encoded.shape == (100, 3)
        assert encoded.device == made.device
        assert model.batches == [256, 128, 64, 64]
        assert held == [None, None]
        assert fake.waits.sent


def test_commands_see_the_device(
    root: Path, cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], cuda: Cuda
) -> None:
    execute(["doctor", "--cache", str(cache)])
    assert torch.cuda.get_device_name(0) in capfd.readouterr().out
    words = ["--domain", "Animals", "--backbone", "beyond-mini", "--device", "cuda", "--workers", "1"]
    figure = tmp_path / "features.svg"
    assert execute(["plot", "tsne", *words, "--data", str(root), "--cache", str(cache), "--out", str(figure)]) == 0
    assert figure.stat().st_size


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Kernels that solve as the CPU does, or that give every prototype another name."""
    monkeypatch.setattr(native, "has_cuda", lambda: True)
    monkeypatch.setattr(contenders, "_kernels", lambda n: ["cuda-fused", "cuda"])

    def make(sound: bool) -> None:
        def solve(prototypes: torch.Tensor, names: torch.Tensor, backend: str) -> Matching[torch.Tensor]:
            found = match(prototypes, names, backend="cpp")
            return found if sound or backend == "cpp" else replace(found, columns=found.columns.roll(1))

        monkeypatch.setattr(check_backends, "match", solve)

    return make


@needs_cpp
def test_doctor_reports_gpu_matching(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    cuda: Cuda,
    kernels: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    kernels(True)

    def said() -> str:
        execute(["doctor", "--json"])
        return next(line["state"] for line in json.loads(capfd.readouterr().out) if "matching" in line["what"])

    assert said() == "agrees with the CPU; not used: not measured on this model"
    case = autotune.TimedCase(1, 100, {"cuda": 1.0, "cpp": 2.0})
    timings = autotune.Timings(torch.cuda.get_device_name(0), (case,))
    autotune.user_file().write_text(json.dumps(timings.to_json()))
    assert said() == "agrees with the CPU; by size, from 1 measured cases"
    kernels(False)
    assert said().startswith("backend 'cuda-fused' differs from 'cpp' in columns for (3, ")
    autotune.user_file().write_text("[]")
    assert "does not contain timings of backends" in said()


@needs_cpp
@pytest.mark.parametrize("kind", ["cuda", "autotune"])
def test_kernels_that_are_wrong_on_the_device_are_not_timed(
    kind: str, cuda: Cuda, kernels: Callable[[bool], None]
) -> None:
    kernels(True)
    case = contenders.KINDS[kind]
    assert set(case.names(2, 20, 1, 0)) <= set(case.make(0, 2, 20, 1))
    kernels(False)
    with pytest.raises(UserError, match="'cuda-fused' differs from 'cpp' in columns"):
        case.make(0, 2, 20, 1)


def test_fork_server_never_initialises_cuda() -> None:
    """A process that is forked from one that began CUDA cannot use it."""
    code = """
import torch
def began(*_): raise SystemExit("the fork server begins CUDA")
torch._C._cuda_init = torch._C._cuda_getDeviceCount = torch.cuda._lazy_init = torch.cuda.is_available = began
import harness.execution.worker_main, harness.runner.run_cell, open_clip
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cells_in_processes_of_their_own(root: Path, cache: Path, tmp_path: Path) -> None:
    together = run(root, cache, tmp_path / "together", "zero_shot", "fsnl", "zsnl")
    alone = run(root, cache, tmp_path / "alone", "zero_shot", "fsnl", "zsnl", isolate=True)
    assert together.succeeded
    assert [row.domains for row in alone.leaderboard.rows] == [row.domains for row in together.leaderboard.rows]


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_compiled_runs_are_the_same_twice(root: Path, cache: Path, tmp_path: Path) -> None:
    rows = [run(root, cache, tmp_path / str(i), "fsnl", compiled=True).leaderboard.rows for i in range(2)]
    assert [row.domains for row in rows[0]] == [row.domains for row in rows[1]]
    assert not rows[0][0].failures
