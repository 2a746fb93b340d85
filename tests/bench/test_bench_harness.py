"""The parts of the main job under pytest-benchmark: `pytest tests/bench --benchmark-only`."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from harness.backbones import backbone as backbones
from harness.backbones.find import find
from harness.datasets.image_bytes import file_digest
from harness.execution.one_thread import one_thread_per_operation
from harness.feature_cache.encode import Encoder
from harness.feature_cache.image_encoder import ImageSource
from harness.feature_cache.kinds import global_features
from harness.miniature import build as miniature
from harness.miniature import model
from harness.miniature.offer import harness_backbone
from harness.miniature.world.photograph import jpeg, photograph
from harness.miniature.world.phylogeny import concepts
from harness.progress import NullReporter
from harness.registry import installed
from harness.results.store import ResultStore, predictions_path
from harness.runner.chosen_method import make_method
from harness.runner.evaluate import evaluate
from harness.runner.feature_provider import FeatureProvider
from harness.runner.plan import make_plan
from harness.runner.predict import predict_all
from harness.runner.request import MethodChoice, Request
from harness.types.vocabulary import Vocabulary

from ..cells import run_cell, task_of

PAIR = ("zero_shot", "fsnl")
"""The main job."""

METHODS = sorted(e.origin.name for e in installed() if e.origin.module.startswith("harness_plugins."))
"""Every method of the catalogue."""


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return miniature.build(tmp_path_factory.mktemp("bench") / "beyond-mini")


@pytest.fixture(scope="session")
def backbone():
    found = find(model.NAME, None, offer=harness_backbone())
    return backbones.load(backbones.resolve(found, "fp32", file_digest), torch.device("cpu"))


@pytest.fixture(scope="session")
def request_(world, tmp_path_factory):
    return Request(
        methods=tuple(MethodChoice(name) for name in PAIR),
        domains=("Animals",),
        seeds=(1,),
        data=world,
        out=tmp_path_factory.mktemp("out"),
        cache=tmp_path_factory.mktemp("cache"),
    )


@pytest.fixture(scope="session")
def planned(request_):
    plan = make_plan(replace(request_, methods=tuple(MethodChoice(name) for name in METHODS)), NullReporter())
    bench = FeatureProvider(plan.resolved, "cpu", plan.domains, plan.cache, workers=2)
    bench.encode(plan.jobs, NullReporter())
    return plan, bench


@pytest.mark.parametrize(
    "code", ["import typer, rich.console, pydantic", "from harness.cli.main import execute as e; e(['plugins'])"]
)
def test_bench_listing(benchmark, code):
    """Time of `harness plugins`, and of importing the libraries that it needs."""
    benchmark.group = "harness plugins"
    benchmark.pedantic(
        subprocess.run, ([sys.executable, "-c", code],), {"check": True, "capture_output": True}, rounds=5
    )


@pytest.mark.parametrize("work", ["import torch", "second run", "python", "harness --help", "import its libraries"])
def test_bench_starting(benchmark, request_, work):
    """Time of a command that computes nothing, and of importing torch, which it does not."""
    words = [f"--plugin={','.join(PAIR)}", "--domain=Animals", "--seeds=1", f"--data={request_.data}"]
    words += [f"--out={request_.out}", f"--cache={request_.cache}"]
    command = {
        "import torch": ["-c", "import torch"],
        "second run": ["-m", "harness", "evaluate", *words],
        "python": ["-c", "pass"],
        "harness --help": ["-m", "harness", "--help"],
        "import its libraries": ["-c", "import typer.rich_utils"],
    }[work]

    def run():
        subprocess.run([sys.executable, *command], check=True, capture_output=True)

    if work == "second run":
        evaluate(request_)
        run()  # the first one remembers what methods declare
    benchmark.group = "starting"
    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


def test_bench_rendering(benchmark):
    drawn = concepts("Animals")[0]
    benchmark.extra_info["images"] = 24
    benchmark(lambda: [jpeg(photograph(drawn, instance)) for instance in range(24)])


def test_bench_encoding(benchmark, world, backbone, tmp_path):
    files = sorted(world.glob("Animals24_OOP/images/*/*.jpg"))[:512]
    sources = [ImageSource(file, file_digest(file), file.name) for file in files]
    fresh = itertools.count()

    def encode():
        extractor = global_features(backbone)
        Encoder(extractor, extractor.store(tmp_path / f"{next(fresh)}"), workers=2).ensure(sources, 0)

    benchmark.extra_info["images"] = len(files)
    benchmark.pedantic(encode, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("name", METHODS)
def test_bench_fit_and_score_of_a_cell(benchmark, planned, name):
    plan, bench = planned
    job = next(job for job in plan.jobs if job.spec.method.name == name)
    with one_thread_per_operation(bench.device):
        cell = benchmark.pedantic(run_cell, (job, plan.protocol.template, bench), rounds=3, warmup_rounds=1)
    assert cell.failure is None


def test_bench_scoring(benchmark, planned):
    plan, bench = planned
    job = next(job for job in plan.jobs if job.spec.method.name == "zero_shot")
    data = plan.domains["Animals"]
    task, _ = task_of(job, plan.protocol.template, bench)
    method = make_method(job.method.choice).fit(task)
    joint = Vocabulary.of(data.noun, oop=data.oop["test"].names, ip=data.ip["test"].names)
    image = torch.cat([features.image[:, 0] for features in bench.scored("Animals").values()])
    with one_thread_per_operation(bench.device):
        benchmark(predict_all, method, "zero_shot", image, {"joint": joint})


def test_bench_result_store_of_a_thousand_cells(benchmark, request_, tmp_path):
    outcome = evaluate(request_)
    assert outcome.succeeded
    cell = next(ResultStore(request_.out).cells())
    answers = (request_.out / predictions_path(cell.predictions)).read_bytes()
    cells = [cell.model_copy(update={"spec": cell.spec.model_copy(update={"seed": seed})}) for seed in range(1000)]
    ledger = ResultStore(tmp_path)
    for each in cells:
        ledger.put(each.model_copy(update={"predictions_content": answers}))
    keys = [each.spec.key for each in cells]
    known = benchmark(ledger.known, keys, pytest.fail)
    assert len(known) == 1000


def test_bench_second_run(benchmark, request_):
    evaluate(request_)
    outcome = benchmark(evaluate, request_)
    assert outcome.computed == 0
