"""Class vectors that are read off the scores of a fitted method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from torch import Tensor

from harness.analysis import class_vectors
from harness.analysis.class_vectors import NOT_LINEAR, VectorInput, VectorWorker, _read
from harness.errors import FixedVocabulary
from harness.execution.jobs import JobFailure
from harness.method import Method
from harness.progress import NullReporter
from harness.prompts import Template
from harness.runner.cell_input import CellInput
from harness.runner.pack_images import ImagePacker
from harness.runner.plan import make_plan
from harness.runner.request import MethodChoice, Request
from harness.runner.task_input import named_task
from harness.types.vocabulary import Vocabulary

from ..datasets.roots import make_root
from ..makers import unit_rows
from ..runner.test_streams import provider_of


@dataclass
class Linear(Method):
    """Scores by fixed vectors; of the OOP names alone, if it is told so; with a bias, if it is told so."""

    fixed: bool = False
    bias: float = 0.0

    def fit(self, task: Any) -> Any:
        return self

    def scores(self, images: Any, vocabulary: Vocabulary) -> Tensor:
        if self.fixed and not all(vocabulary.oop):
            raise FixedVocabulary("it knows the OOP names only")
        features = images.features[:, 0]
        return 30 * features @ unit_rows(len(vocabulary), features.shape[1], 1).T + self.bias


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data, cache = make_root(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("cache")
    where = {"data": data, "cache": cache, "backbone": "beyond-mini", "device": "cpu"}
    plan = make_plan(Request((MethodChoice("zero_shot"),), ("Animals",), **where), NullReporter())
    return plan.jobs[0], provider_of(plan)


def answer(place: Any, monkeypatch: pytest.MonkeyPatch, method: Method) -> Any:
    job, provider = place
    task, _ = named_task(job, Template(), provider, ImagePacker(job, provider, None))
    names = {"oop": Vocabulary.of("thing", oop=("a", "b", "c")), "ip": Vocabulary.of("thing", ip=("d", "e"))}
    monkeypatch.setattr(class_vectors, "make_method", lambda choice: method)
    image = provider.scored("Animals")["oop"].image[:, 0].numpy()
    sent = VectorWorker(provider.backbone)(VectorInput(CellInput(job.method.choice, 1, (task,)), image, names))
    return _read(job, sent), image.shape[1]


def test_vectors_are_those_that_the_method_scores_by(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found, width = answer(place, monkeypatch, Linear())
    for side, k in (("oop", 3), ("ip", 2)):
        assert found[side] == pytest.approx(unit_rows(k, width, 1).numpy(), abs=1e-5)


def test_a_fixed_vocabulary_has_vectors_of_the_oop_names(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = answer(place, monkeypatch, Linear(fixed=True))
    assert set(found) == {"oop"}


def test_scores_that_are_not_linear_have_no_vectors(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = answer(place, monkeypatch, Linear(bias=9.0))
    assert found == f"zero_shot on Animals: {NOT_LINEAR}"


def test_an_answer_of_other_rows_or_none_is_a_sentence(place: Any) -> None:
    job, _ = place
    assert _read(job, JobFailure("ended", "ended")) == "zero_shot on Animals: ended"
    assert _read(job, b"nothing") == "zero_shot on Animals sent something that is not an answer"
