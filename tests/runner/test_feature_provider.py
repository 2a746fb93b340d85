"""What is encoded before cells run is exactly what they read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.method import Method
from harness.progress import NullReporter
from harness.prompts import Template
from harness.protocols import Scoring
from harness.runner import image_sources
from harness.runner.feature_provider import FeatureProvider
from harness.runner.job import Job
from harness.runner.plan import make_plan
from harness.runner.request import MethodChoice, Request
from harness.types.discovery import Discovery
from harness.types.task import Needs, Pool, Task

from ..cells import run_cell, with_method
from ..datasets.roots import make_root


@dataclass
class Asks(Method):
    """Has the given needs."""

    views: int = 1
    pool: Pool = "train-unlabeled"

    def fit(self, task: Task) -> Any:
        self.task_ = task
        return self

    def scores(self, images: Any, vocabulary: Any) -> Any:
        image = images.features[:, 0]
        return image @ torch.ones(image.shape[1], len(vocabulary))

    def discovery(self) -> Discovery | None:
        if self.task_._unlabeled is None:
            return None
        return Discovery(torch.zeros(len(self.task_.unlabeled), dtype=torch.long), torch.zeros(1, dtype=torch.long))


def asks(views: int = 1, pool: Pool = "train-unlabeled", **needs: bool) -> Method:
    return type("Asks", (Asks,), {"needs": Needs(**needs)})(views, pool)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Any]:
    data, cache = make_root(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("cache")
    choice = (MethodChoice("fsnl"),)
    request = Request(choice, ("Animals",), (2,), (1,), data=data, backbone="beyond-mini", device="cpu", cache=cache)
    plan = make_plan(request, NullReporter())
    return plan.jobs[0], plan


def bench_of(plan: Any, cache: Path) -> FeatureProvider:
    return FeatureProvider(plan.resolved, plan.device, plan.domains, cache, 1)


def stored(provider: FeatureProvider) -> set[tuple[str, bytes]]:
    return {(view, digest) for view, index in provider.store._index.items() for digest in index}


@pytest.mark.parametrize(
    ("method", "scoring"),
    [
        (asks(), "names"),
        (asks(support=True), "names"),
        (asks(views=3, support=True), "names"),
        (asks(views=3, captions=True, validation=True), "names"),
        (asks(views=3, validation=True), "names"),
        (asks(unlabeled=True), "names"),
        (asks(pool="test-unlabeled", unlabeled=True), "names"),
        (asks(ip=True, unlabeled=True, clusters=True), "names"),
        (asks(unlabeled=True), "clusters"),
        (asks(unlabeled=True, ip=True), "clusters"),
    ],
)
def test_every_image_that_is_encoded_is_read_and_none_later(
    job: tuple[Job, Any], method: Method, scoring: Scoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, plan = job
    provider = bench_of(plan, tmp_path)
    wanted = with_method(made, method, scoring=scoring)
    provider.encode([wanted], NullReporter())
    before, encoded = stored(provider), provider.encoder.encoded
    assert encoded == len(before)
    read: set[tuple[str, bytes]] = set()
    inner = provider.store.get

    def get(view: int, digests: list[str], crop: float = 0.08, *out: Any) -> Any:
        found, missing = inner(view, digests, crop, *out)
        name = "view-000" if view == 0 else f"view-{view:03d}-box-{crop:g}"
        read.update((name, bytes.fromhex(d)) for i, d in enumerate(digests) if i not in set(missing))
        return found, missing

    monkeypatch.setattr(provider.store, "get", get)
    cell = run_cell(wanted, Template(), provider)
    if scoring == "names":
        assert cell.failure is None
    assert provider.encoder.encoded == encoded, "nothing was missing"
    if cell.failure is None:
        assert read == before


def test_validation_images_are_not_encoded_for_a_method_that_reads_none(job: tuple[Job, Any], tmp_path: Path) -> None:
    made, plan = job
    provider = bench_of(plan, tmp_path)
    data = plan.domains["Animals"]
    provider.encode([made, made], NullReporter())
    drawn = len({pick.sha256 for pick in made.manifest.picks_of_part("train")})
    scored = len({data.digests[s.file(item)] for s in data.scored.values() for item in s.items} - {None})
    assert made.manifest.picks_of_part("val")
    assert provider.encoder.encoded == scored + drawn * made.method.views


def test_images_are_listed_once_for_all_cells(job: tuple[Job, Any], tmp_path: Path, monkeypatch: Any) -> None:
    found, plan = job
    made: list[str] = []
    source = image_sources.source_of

    def note(data: Any, split: Any, item: Any) -> Any:
        made.append(item.path)
        return source(data, split, item)

    monkeypatch.setattr(image_sources, "source_of", note)
    provider = FeatureProvider(plan.resolved, "cpu", plan.domains, tmp_path, workers=1)
    list(provider.wanted([found]))
    once = len(made)
    for _ in range(3):
        list(provider.wanted([found] * 50))
    drawn = sum(len(found.manifest.picks_of_part(part)) for part, _ in found.draws) if found.manifest else 0
    assert len(made) == once + 3 * drawn
