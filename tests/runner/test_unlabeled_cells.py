"""Cells of methods with a pool: what they are given of it, and the metrics of their clusters."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from harness.errors import DataError
from harness.method import Method
from harness.metrics.clusters import require_clusters
from harness.progress import NullReporter
from harness.prompts import Template
from harness.runner.feature_provider import FeatureProvider
from harness.runner.plan import make_plan
from harness.runner.request import MethodChoice, Request
from harness.runner.task_input import pool_order
from harness.types.discovery import Discovery
from harness.types.features import Features
from harness.types.task import Needs, Pool, Task

from ..cells import run_cell, task_of, with_method
from ..datasets.roots import make_root
from ..makers import POOL, discovery_metrics


@dataclass
class Pooled(Method):
    """Reports given clusters and a given outcome."""

    needs = Needs(unlabeled=True, ip=True, clusters=True)
    pool: Pool = "train-unlabeled"
    answer: Any = None
    reported: Any = None
    number: Any = 0

    def fit(self, task: Task) -> Any:
        self.task_ = task
        return self

    def scores(self, images: Any, vocabulary: Any) -> Any:
        image = images.features[:, 0]
        return image @ torch.ones(image.shape[1], len(vocabulary))

    def discovery(self) -> Any:
        return self.answer

    def outcome(self) -> Any:
        return self.reported or {}

    def trainable(self) -> Any:
        return self.number


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    data, cache = make_root(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("cache")
    choice = (MethodChoice("zero_shot"),)
    request = Request(choice, ("Animals",), (2,), (1,), data=data, backbone="beyond-mini", device="cpu", cache=cache)
    plan = make_plan(request, NullReporter())
    return plan.jobs[0], FeatureProvider(plan.resolved, plan.device, plan.domains, plan.cache, 1)


def posed(place, method):
    job, provider = place
    return task_of(with_method(job, method, manifest=None), Template(), provider)[0]


def cell(place, **parameters):
    job, provider = place
    return run_cell(with_method(job, Pooled(**parameters), manifest=None), Template(), provider)


def sent_labels(place, pool):
    """The labels of a pool in the order in which the method gets its images."""
    job, provider = place
    label = provider.pool("Animals", pool).label
    return label[pool_order(with_method(job, Pooled(pool)), provider).position]


def rows(image):
    return {row.numpy().tobytes() for row in image}


def test_a_part_without_images_is_named(place):
    _, provider = place
    empty = replace(provider.domains["Animals"].oop["train"], items=())
    with pytest.raises(DataError, match="Animals6_OOP has no train image"):
        provider.features("Animals", empty)


def test_the_pool_is_the_part_that_was_named(place):
    _, provider = place
    train, test = (posed(place, Pooled(pool)) for pool in ("train-unlabeled", "test-unlabeled"))
    assert rows(test.unlabeled.features[:, 0]) == rows(provider.scored("Animals")["oop"].image[:, 0])
    assert not rows(train.unlabeled.features[:, 0]) & rows(test.unlabeled.features[:, 0])
    data = provider.domains["Animals"]
    assert len(train.unlabeled) == len(data.oop["train"].items)
    assert train.clusters == len(data.oop["train"].names)
    assert len(train.ip.label) == len(data.ip["train"].items)
    assert not rows(train.ip.features[:, 0]) & rows(provider.scored("Animals")["ip"].image[:, 0])


def test_a_pool_is_a_copy_without_labels_in_the_order_of_the_digests(place):
    _, provider = place
    task = posed(place, Pooled())
    label = task.ip.label.clone()
    for given in (task.unlabeled.features, task.ip.features, task.ip.label):
        given.zero_()  # a method may write into what it is given
    again = posed(place, Pooled())
    assert bool(again.unlabeled.features.any())
    assert bool(again.ip.features.any())
    assert torch.equal(again.ip.label, label)
    assert bool(label.any())
    split = provider.domains["Animals"].oop["train"]
    digest = {split.file(item): item.label for item in split.items}
    by_digest = [digest[f] for f in sorted(digest, key=lambda f: provider.domains["Animals"].digests[f])]
    assert provider.pool("Animals", "train-unlabeled").label.tolist() == by_digest
    assert by_digest != sorted(by_digest)


def test_the_number_of_clusters_is_that_of_the_classes_of_the_named_part(place):
    job, provider = place
    data = provider.domains["Animals"]
    few = replace(data.oop["test"], items=tuple(item for item in data.oop["test"].items if item.label < 2))
    other = FeatureProvider.__new__(FeatureProvider)
    other.__dict__ |= provider.__dict__ | {"_pools": ("", {})}
    other.domains = {"Animals": replace(data, scored={**data.scored, "oop": few})}
    for pool, wanted in (("test-unlabeled", 2), ("train-unlabeled", len(data.oop["train"].names))):
        assert task_of(with_method(job, Pooled(pool), manifest=None), Template(), other)[0].clusters == wanted


def test_unreadable_images_of_a_pool_are_reported(place):
    job, provider = place
    given = {pool: provider.pool("Animals", pool) for pool in ("train-unlabeled", "ip")}
    bad = {pool: tuple(f"{pool}/{i}.jpg" for i in range(4)) for pool in given}
    provider._pools = ("Animals", {pool: replace(each, unreadable=bad[pool]) for pool, each in given.items()})
    lost, made = task_of(with_method(job, Pooled(), manifest=None), Template(), provider)[1], cell(place)
    provider._pools = ("", {})
    assert lost == [*bad["train-unlabeled"], *bad["ip"]]
    assert made.unreadable == tuple(sorted(lost))


def test_without_an_ip_folder_there_are_no_ip_images(place):
    job, provider = place
    data = provider.domains["Animals"]
    alone = FeatureProvider.__new__(FeatureProvider)
    alone.__dict__ |= provider.__dict__ | {"domains": {"Animals": replace(data, ip=None)}, "_pools": ("", {})}
    task, _ = task_of(with_method(job, Pooled(), manifest=None), Template(), alone)
    assert task.ip.features.shape == (0, 1, task.unlabeled.features.shape[2])


def test_every_cell_draws_random_numbers_of_its_own_and_the_same_whatever_the_method(place):
    @dataclass
    class Bare(Pooled):
        needs = Needs()

    job, provider = place
    both = FeatureProvider.__new__(FeatureProvider)
    both.__dict__ |= provider.__dict__ | {"domains": dict.fromkeys(("Animals", "Food"), provider.domains["Animals"])}

    def seed(domain, shots, seed, method):
        spec = job.spec.model_copy(update={"domain": domain, "shots": shots, "seed": seed})
        return task_of(with_method(job, method, spec=spec, manifest=None), Template(), both)[0].generator.initial_seed()

    cells = [(domain, shots, own) for domain in ("Animals", "Food") for shots in (0, 1, 2, 4) for own in range(5)]
    seeds = [seed(*cell, Bare()) for cell in cells]
    assert len(set(seeds)) == len(cells)
    assert seed("Animals", 2, 1, Pooled()) == seeds[cells.index(("Animals", 2, 1))]


def test_a_perfect_clustering_with_shuffled_ids_is_judged_perfect(place):
    label = sent_labels(place, "train-unlabeled")
    turn = torch.arange(int(label.max()) + 1).roll(1)
    made = cell(place, answer=Discovery(turn[label], torch.argsort(turn)), reported={"rounds": [1, 0]})
    assert made.failure is None
    assert {metric: made.metrics[metric] for metric in POOL} == dict.fromkeys(POOL, 1.0)
    assert made.outcome == {"rounds": [1, 0]}
    wrong = cell(place, answer=Discovery(turn[label], torch.arange(len(turn))))  # the row number taken for the cluster
    assert (wrong.metrics["named_acc"], wrong.metrics["cluster_acc"]) == (0.0, 1.0)


def test_a_discovery_that_cannot_be_judged_is_a_failed_cell(place):
    made = cell(place, answer=Discovery(torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long)))
    assert "discovery: " in made.failure.reason


class Mute:
    """Raises when it is asked whether it is empty."""

    def __bool__(self) -> bool:
        raise KeyError("oops")


CIRCLE: dict[str, Any] = {}
CIRCLE["self"] = CIRCLE


@pytest.mark.parametrize(
    ("parameters", "remark"),
    [
        ({"reported": {"x": torch.ones(1)}}, "outcome cannot be stored as JSON"),
        ({"reported": {"x": "\ud800"}}, "outcome cannot be stored as JSON"),
        ({"reported": CIRCLE}, "outcome cannot be stored as JSON"),
        ({"reported": [1]}, "outcome returned list"),
        ({"reported": Mute()}, "outcome raised KeyError: 'oops'"),
        ({"number": -1}, "trainable returned -1"),
        ({"number": 1.5}, "trainable returned 1.5"),
    ],
)
@pytest.mark.parametrize("run", [cell, lambda place, **given: clustered(place, **given)], ids=["names", "clusters"])
def test_a_report_that_cannot_be_kept_is_remarked_and_the_metrics_stand(place, run, parameters, remark):
    good, made = run(place), run(place, **parameters)
    assert made.failure is None
    assert remark in made.remarks[0]
    assert (made.metrics, made.predictions, good.remarks) == (good.metrics, good.predictions, ())
    assert made.cost.trainable == 0 if "number" in parameters else made.outcome in ({}, {"oop": {}, "ip": {}})


def test_numbers_that_json_lacks_are_kept_as_words(place):
    reported = {"loss": float("nan"), "bound": [float("inf"), -float("inf")], "rounds": 3}
    made = cell(place, reported=reported)
    assert made.outcome == {"loss": "nan", "bound": ["inf", "-inf"], "rounds": 3}
    assert type(made).model_validate_json(made.model_dump_json()).outcome == made.outcome
    assert (made.failure, made.remarks) == (None, ())


@dataclass
class Clustering(Pooled):
    """Puts all images into one cluster, and reports what it was given."""

    needs = Needs(unlabeled=True, clusters=True)
    cluster: int = 0
    other: bool = False
    number: Any = 3

    def fit(self, task: Task) -> Any:
        time.sleep(0.02)
        self.task_ = task
        self.found_ = torch.full((len(task.unlabeled),), self.cluster)
        task.unlabeled.features.zero_()
        return object() if self.other else self

    def discovery(self) -> Any:
        return Discovery(self.found_, torch.zeros(0, dtype=torch.long))

    def outcome(self) -> Any:
        if self.reported is not None:
            return self.reported or {}
        task = self.task_
        return {"seed": task.generator.initial_seed(), "named": task._names is not None, "clusters": task.clusters}

    def trainable(self) -> Any:
        return self.number


def clustered(place, seed=1, **parameters):
    job, provider = place
    spec = job.spec.model_copy(update={"seed": seed})
    job = with_method(job, Clustering(**parameters), scoring="clusters", spec=spec, manifest=None)
    return run_cell(job, Template(), provider)


def test_sides_are_clustered_apart_and_counted_together(place):
    _, provider = place
    made, other = clustered(place), clustered(place, seed=2)
    assert made.failure is None
    reported = [cell.outcome[side] for cell in (made, other) for side in ("oop", "ip")]
    assert len({side["seed"] for side in reported}) == 4
    assert not any(side["named"] for side in reported), "names were not declared"
    data = provider.domains["Animals"]
    assert [side["clusters"] for side in reported[:2]] == [len(data.scored[side].names) for side in ("oop", "ip")]
    assert made.cost.trainable == 6
    assert made.cost.fit_seconds >= 0.04
    assert all(bool(features.image.any()) for features in provider.scored("Animals").values()), "it got a copy"
    assert made.images == {side: len(features.label) for side, features in provider.scored("Animals").items()}


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [({"cluster": -1}, "must give every one of"), ({"other": True}, "fit must return self")],
)
def test_clusters_that_break_the_contract_are_a_failed_cell(place, parameters, reason):
    assert reason in clustered(place, **parameters).failure.reason


def test_clusters_of_images_alone_are_for_methods_that_need_no_more(place):
    job, provider = place
    made = run_cell(with_method(job, Pooled(), manifest=None, scoring="clusters"), Template(), provider)
    assert (made.failure.kind, "needs ip; the protocol gives" in made.failure.reason) == ("not applicable", True)


def test_unreadable_images_of_both_sides_are_reported(place, monkeypatch):
    _, provider = place
    bad = {side: replace(features, unreadable=(side,)) for side, features in provider.scored("Animals").items()}
    monkeypatch.setattr(provider, "scored", lambda domain: bad)
    assert clustered(place).unreadable == ("ip", "oop")


@pytest.mark.parametrize("name", [-2, 99])
def test_names_that_there_are_not_are_a_failed_cell(place, name):
    _, provider = place
    cluster = torch.zeros(len(provider.pool("Animals", "train-unlabeled").label), dtype=torch.long)
    known = len(provider.domains["Animals"].oop["train"].names)
    for wrong in (name, known):
        made = cell(place, answer=Discovery(cluster, torch.tensor([wrong])))
        assert f"names are 0 to {known - 1}, or -1" in made.failure.reason
    assert cell(place, answer=Discovery(cluster, torch.tensor([known - 1]))).failure is None


def test_clusters_are_judged_on_the_pool_that_was_named(place):
    label = sent_labels(place, "test-unlabeled")
    made = cell(place, pool="test-unlabeled", answer=Discovery(label, torch.arange(int(label.max()) + 1)))
    assert made.metrics["named_acc"] == 1.0


def test_clusters_of_a_pool_that_was_not_asked_for_are_a_failed_cell(place):
    @dataclass
    class Bare(Pooled):
        needs = Needs()

    job, provider = place
    method = Bare(answer=Discovery(torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long)))
    made = run_cell(with_method(job, method, manifest=None), Template(), provider)
    assert "reports clusters of a pool that it did not declare" in made.failure.reason


def test_clusters_with_numbers_that_cannot_be_kept_are_a_failed_cell(place):
    @dataclass
    class Far(Method):
        needs = Needs(unlabeled=True)

        def fit(self, task: Task) -> Any:
            self.n_ = len(task.unlabeled)
            return self

        def scores(self, images: Any, vocabulary: Any) -> Any:
            raise NotImplementedError

        def discovery(self) -> Any:
            return Discovery(torch.full((self.n_,), 2**40), torch.zeros(0, dtype=torch.long))

    job, provider = place
    made = run_cell(with_method(job, Far(), manifest=None, scoring="clusters"), Template(), provider)
    assert "predictions are columns: not negative, and below 2**32" in made.failure.reason


@pytest.mark.parametrize("scoring", ["names", "clusters"])
def test_nothing_that_a_method_learned_is_left_in_the_next_cell_or_side(place, scoring):
    @dataclass
    class Hoarding(Pooled):
        needs = Needs(unlabeled=True)

        def fit(self, task: Task) -> Any:
            self.fits_ = getattr(self, "fits_", 0) + 1
            self.n_ = len(task.unlabeled)
            return self

        def discovery(self) -> Any:
            return Discovery(torch.zeros(self.n_, dtype=torch.long), torch.zeros(1, dtype=torch.long))

        def outcome(self) -> Any:
            return {"fits": self.fits_}

    job, provider = place
    again = with_method(job, Hoarding(), manifest=None, scoring=scoring)
    first, second = (run_cell(again, Template(), provider) for _ in range(2))
    once = {"fits": 1}
    assert first.failure is None
    assert first.outcome == second.outcome == (once if scoring == "names" else {"oop": once, "ip": once})
    assert not hasattr(again.method, "fits_")


def test_a_method_that_forgets_its_generator_draws_by_the_seed_of_its_cell(place):
    @dataclass
    class Forgetful(Pooled):
        needs = Needs()

        def outcome(self) -> Any:
            return {"torch": float(torch.rand(())), "numpy": float(np.random.rand()), "random": random.random()}

    job, provider = place

    def drawn(seed: int) -> dict[str, float]:
        spec = job.spec.model_copy(update={"seed": seed})
        return run_cell(with_method(job, Forgetful(), spec=spec, manifest=None), Template(), provider).outcome

    one, two, again = drawn(1), drawn(2), drawn(1)
    assert one == again
    assert all(one[library] != two[library] for library in one)


def test_other_labels_of_the_pool_change_no_prediction(place):
    _, provider = place
    straight = cell(place)
    features = provider.pool("Animals", "train-unlabeled")
    other = Features(features.image, features.label.flip(0), ())
    provider._pools = ("Animals", provider._pools[1] | {"train-unlabeled": other})
    turned = cell(place)
    provider._pools = ("", {})
    assert straight.predictions == turned.predictions


def test_discovery_in_figures():
    label = np.array([0, 0, 0, 1, 1, 2])
    cluster = np.array([1, 1, 0, 0, 0, -1])  # cluster 2 is empty, one image is in none
    found = discovery_metrics(cluster, np.array([1, 2, 0]), label)
    assert found["named_acc"] == pytest.approx(2 / 6)
    assert found["cluster_acc"] == pytest.approx(4 / 6)
    assert found["coverage"] == pytest.approx(5 / 6)
    assert found["matching_acc"] == pytest.approx(1 / 2)
    nameless = discovery_metrics(cluster, np.array([1, -1, 0]), label)
    assert nameless["coverage"] == pytest.approx(3 / 6)
    nothing = discovery_metrics(np.full(6, -1), np.zeros(0, dtype=np.int64), label)
    assert set(nothing.values()) == {0.0}
    with pytest.raises(ValueError, match="clusters are 0 to 2"):
        require_clusters(cluster + 3, np.array([1, 2, 0]), label)
