"""Methods that get scored images one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.errors import NotApplicable
from harness.method import Method
from harness.progress import NullReporter
from harness.prompts import Template
from harness.runner.clustered_cell import ClusteredCell
from harness.runner.feature_provider import FeatureProvider
from harness.runner.named_cell import NamedCell
from harness.runner.pack_images import ImagePacker
from harness.runner.plan import make_plan
from harness.runner.predict import predict_all
from harness.runner.request import MethodChoice, Request
from harness.types.images import Images
from harness.types.task import Needs, Task
from harness.types.vocabulary import Vocabulary

from ..cells import run_cell, with_method
from ..datasets.roots import make_root


@dataclass
class Watches(Method):
    """Notes what it is asked, in order; the answers depend on how many images of a vocabulary it has seen."""

    needs = Needs(stream=True)
    asked: list[tuple[Vocabulary, Tensor]] = field(default_factory=list)

    def fit(self, task: Task) -> Any:
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        self.asked.append((vocabulary, images.features[:, 0]))
        number = sum(before == vocabulary for before, _ in self.asked)
        return torch.arange(len(vocabulary)).add(number).remainder(len(vocabulary)).float()[None]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data, cache = make_root(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("cache")
    choice = (MethodChoice("tda"),)
    request = Request(choice, ("Animals",), (2,), (1,), data=data, backbone="beyond-mini", device="cpu", cache=cache)
    plan = make_plan(request, NullReporter())
    return plan.jobs[0], plan


def provider_of(plan: Any, workers: int = 1) -> FeatureProvider:
    return FeatureProvider(plan.resolved, plan.device, plan.domains, plan.cache, workers)


def asked(place: Any, workers: int = 1) -> dict[Vocabulary, Tensor]:
    """The images that a method gets in each vocabulary, in order, and one at a time."""
    job, plan = place
    method, provider = Watches(), provider_of(plan, workers)
    watched = with_method(job, method)
    query = NamedCell(watched, Template(), provider, ImagePacker(watched, provider, None)).input.query
    assert query is not None
    predict_all(method, "it", query, provider.backbone)
    assert {len(image) for _, image in method.asked} == {1}
    vocabularies = dict.fromkeys(vocabulary for vocabulary, _ in method.asked)
    return {one: torch.cat([image for other, image in method.asked if other == one]) for one in vocabularies}


def rows(image: Tensor) -> list[bytes]:
    return [row.numpy().tobytes() for row in image]


def test_each_vocabulary_has_a_stream_of_its_own_images(place: Any) -> None:
    streams, scored = asked(place), provider_of(place[1]).scored("Animals")
    joint, oop, ip = streams
    assert (all(oop.oop), any(ip.oop), len(joint)) == (True, False, len(oop) + len(ip))
    for vocabulary, sides in ((joint, ("oop", "ip")), (oop, ("oop",)), (ip, ("ip",))):
        expected = [row for side in sides for row in rows(scored[side].image[:, 0])]
        assert sorted(rows(streams[vocabulary])) == sorted(expected)


def test_the_order_is_the_same_in_every_run_for_any_number_of_workers(place: Any) -> None:
    first = {vocabulary: rows(image) for vocabulary, image in asked(place).items()}
    for workers in (1, 3):
        assert {vocabulary: rows(image) for vocabulary, image in asked(place, workers).items()} == first


def test_the_order_tells_neither_class_nor_side(place: Any) -> None:
    streams, scored = asked(place), provider_of(place[1]).scored("Animals")
    joint, oop, _ = streams
    own = rows(scored["oop"].image[:, 0])
    sides = [row in own for row in rows(streams[joint])]
    assert sides not in (sorted(sides), sorted(sides, reverse=True))
    label = [int(scored["oop"].label[own.index(row)]) for row in rows(streams[oop])]
    assert label not in (sorted(label), sorted(label, reverse=True))
    assert rows(streams[oop]) != own, "the order of the stored labels"


def test_answers_reach_their_images(place: Any) -> None:
    job, plan = place
    provider = provider_of(plan)
    watched = with_method(job, Watches())
    cell = NamedCell(watched, Template(), provider, ImagePacker(watched, provider, None))
    method = Watches()
    assert cell.input.query is not None
    kept, refused = predict_all(method, "it", cell.input.query, provider.backbone)
    assert refused is None
    scored = provider.scored("Animals")
    for key, sides in (("oop", ("oop",)), ("ip", ("ip",)), ("joint", ("oop", "ip"))):
        vocabulary = cell.input.query.vocabularies[key]
        images = [row for other, image in method.asked if other == vocabulary for row in rows(image)]
        found = cell._restored(key, cell._chosen(key, kept[key].best))
        for side in sides:
            expected = [
                (len(vocabulary) - 2 - images.index(row)) % len(vocabulary) for row in rows(scored[side].image[:, 0])
            ]
            assert found[side].tolist() == expected


def test_a_cell_is_repeatable_and_its_record_says_that_it_is_a_stream(place: Any) -> None:
    job, plan = place
    one, other = (run_cell(job, Template(), provider_of(plan)) for _ in range(2))
    assert one.metrics == other.metrics
    assert "oop_top1" in one.metrics
    assert "stream" in one.spec.method.needs


def test_a_stream_method_finds_no_clusters(place: Any) -> None:
    job, plan = place
    with pytest.raises(NotApplicable, match="tda needs stream; the protocol gives unlabeled images"):
        ClusteredCell(job, Template(), provider_of(plan), ImagePacker(job, provider_of(plan), None))
