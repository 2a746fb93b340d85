"""Zero-shot name learning with its default settings: time, memory, and what part of it is matching.

The stress set has the real sizes: 113 classes, 512 dimensions, 20,000 images, unbalanced, 10 % outliers. It runs in a
process of its own, so that the peak of memory is its own: `python tests/bench/test_bench_discovery.py kmeans`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from harness.backbones import openclip
from harness.backbones.text import OpenClipTextTower
from harness.progress import NullReporter
from harness.runner.feature_provider import FeatureProvider
from harness.runner.plan import make_plan
from harness.runner.request import MethodChoice, Request
from harness.types.images import Images
from harness.types.task import Support, Task
from harness_plugins import _name_evidence
from harness_plugins.zsnl import ZSNL

from ..cells import task_of, with_method

CLASSES, WIDTH, IMAGES, OUTLIERS, KNOWN = 113, 512, 20_000, 0.1, 56
CONFIG = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
SHARE = 0.05
"""The most that matching may take of a fit."""


class Stopwatch:
    """Adds up the seconds of a function."""

    def __init__(self, function):
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments):
        begin = time.perf_counter()
        try:
            return self.function(*arguments)
        finally:
            self.seconds += time.perf_counter() - begin


def timed(method, task):
    """Seconds of a fit, and of the matching in it."""
    watch = Stopwatch(_name_evidence.match)
    _name_evidence.match = watch
    try:
        begin = time.perf_counter()
        method.fit(task)
        return time.perf_counter() - begin, watch.seconds
    finally:
        _name_evidence.match = watch.function


def stress():
    """The task, and the labels of its images; outliers have one too, and images of a class sizes like 1 / rank."""
    openclip.register_architecture("bench-512", CONFIG)
    torch.manual_seed(0)
    tower = OpenClipTextTower(
        openclip.random_model("bench-512").eval(), openclip.tokenizer("bench-512"), torch.device("cpu")
    )
    generator = torch.Generator().manual_seed(0)

    def noise(*shape):
        return torch.randn(*shape, WIDTH, generator=generator) / WIDTH**0.5

    task = Task(
        _names=tuple(f"{first} {second}" for first in "ABCDEFGHIJK" for second in "LMNOPQRSTUV")[:CLASSES],
        noun="plant",
        text=tower,
        logit_scale=100.0,
        generator=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
        _clusters=CLASSES,
    )
    with torch.no_grad():
        text = tower.encode([task.template.fill(name, task.noun) for name in task.names])
    centre = F.normalize(F.normalize(text - text.mean(dim=0), dim=1) + noise(CLASSES), dim=1)
    label = torch.multinomial(1 / (10 + torch.arange(CLASSES)), IMAGES, replacement=True, generator=generator)
    far = torch.rand(IMAGES, 1, generator=generator) < OUTLIERS
    image = F.normalize(torch.where(far, noise(IMAGES), centre[label] + noise(IMAGES)), dim=1)
    of_known = torch.arange(KNOWN).repeat_interleave(50)
    known = F.normalize(F.normalize(noise(KNOWN), dim=1)[of_known] + noise(len(of_known)), dim=1)
    object.__setattr__(task, "_unlabeled", Images.of(image))
    object.__setattr__(task, "_ip", Support(known[:, None], of_known))
    return task, label


def run(discover):
    """Figures of one fit on the stress set."""
    torch.set_num_threads(1)
    task, label = stress()
    text = task.text.encode([task.template.fill(name, task.noun) for name in task.names])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    method = ZSNL(discover=discover)
    seconds, matching = timed(method, task)
    found = method.discovery()
    return {
        "seconds": seconds,
        "matching": matching,
        "named": float((found.name[found.cluster] == label).float().mean()),
        "zero-shot": float(((task.unlabeled.features[:, 0] @ text.T).argmax(dim=1) == label).float().mean()),
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "peak MiB before": before // 1024,
    }


@pytest.mark.parametrize("discover", ["kmeans", "ward"])
def test_a_stress_set(benchmark, discover):
    def start():
        command = [sys.executable, str(Path(__file__)), discover]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    found = benchmark.pedantic(start, rounds=1)
    benchmark.extra_info |= found
    print(found)
    assert found["named"] > 0.5
    assert found["matching"] < SHARE * found["seconds"]
    assert found["peak MiB"] < 4096


def test_matching_on_the_miniature(benchmark):
    """All nine domains, one seed."""
    plan = make_plan(Request((MethodChoice("zsnl"),), None, (4,), (1,), device="cpu"), NullReporter())
    bench = FeatureProvider(plan.resolved, plan.device, plan.domains, plan.cache, 1)

    def every():
        total = torch.zeros(2)
        for job in plan.jobs:
            task, _ = task_of(with_method(job, ZSNL()), plan.protocol.template, bench)
            total += torch.tensor(timed(ZSNL(), task))
        return total.tolist()

    seconds, matching = benchmark.pedantic(every, rounds=1, warmup_rounds=1)
    benchmark.extra_info |= {"seconds": seconds, "matching": matching}
    assert matching < SHARE * seconds


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1])))
