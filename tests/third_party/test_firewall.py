"""What a method is given: what it declared, and images without label, name or an order that reveals them."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch

from harness.errors import MethodError
from harness.execution.one_thread import one_thread_per_operation
from harness.method import Method
from harness.progress import NullReporter
from harness.prompts import Template
from harness.registry import load, names
from harness.results.predictions import unpack
from harness.runner.cell_input import CellInput
from harness.runner.chosen_method import make_method
from harness.runner.feature_provider import FeatureProvider
from harness.runner.job import Job
from harness.runner.judge import Judge
from harness.runner.plan import Plan, make_plan
from harness.runner.request import MethodChoice, Request
from harness.types.features import Features
from harness.types.images import Images
from harness.types.task import Needs, Support, Task
from harness.types.vocabulary import Vocabulary

from ..cells import run_cell, task_of, with_method
from ..datasets.roots import edit_split, make_root, write_texts

NEEDS = [field.name for field in dataclasses.fields(Needs) if field.name != "tokens"]
"""A ResNet has no patch tokens."""


def plan(data: Path, cache: Path, *methods: str, backbone: str = "beyond-mini") -> Plan:
    """One cell of each method on Animals."""
    choices = tuple(MethodChoice(name) for name in methods)
    texts = write_texts(cache.parent / "texts.json")
    place = {"data": data, "cache": cache, "texts": texts, "backbone": backbone, "device": "cpu"}
    return make_plan(Request(choices, ("Animals",), (2,), (1,), **place), NullReporter())


def provider_of_plan(made: Plan) -> FeatureProvider:
    return FeatureProvider(made.resolved, made.device, made.domains, made.cache, 1)


def job_names(made: Plan) -> tuple[str, ...]:
    """The OOP names of Animals."""
    return made.domains["Animals"].oop["train"].names


# -- the task ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [(), *[(need,) for need in NEEDS], tuple(NEEDS)])
def test_a_task_holds_what_was_declared_and_the_rest_raises(world, cache, declared):
    made = plan(world, cache, "fsnl")
    job = made.jobs[0]

    @dataclasses.dataclass
    class Wanting(Method):
        needs = Needs(**dict.fromkeys(declared, True))

        def fit(self, task: Task) -> Any: ...

        def scores(self, images: Images, vocabulary: Vocabulary) -> Any: ...

    every = [name for split in made.domains["Animals"].scored.values() for name in split.names]
    wanting = with_method(job, Wanting(), texts={name: (f"a {name}",) for name in every})
    task, _ = task_of(wanting, Template(), provider_of_plan(made))
    readable = {"support": {"support", "captions"} & set(declared), "validation": {"validation"} & set(declared)}
    for field, allowed in readable.items():
        if allowed:
            assert isinstance(getattr(task, field), Support)
        else:
            with pytest.raises(MethodError, match=f"the task has no {field}") as error:
                getattr(task, field)
            assert error.value.hint == f"add {field}=True to the method's needs"
    if {"vocabulary", "support", "captions", "validation"} & set(declared):
        assert task.names == job_names(made)
    else:
        with pytest.raises(MethodError, match="the task has no vocabulary"):
            _ = task.names
    assert task.shots == job.spec.shots
    of_task = {"texts": lambda: task.texts, "model": task.model, "preprojection": lambda: task.projection}
    for field, read in of_task.items():
        if field in declared:
            assert read() is not None
        else:
            with pytest.raises(MethodError, match=f"the task has no {field}"):
                read()
    if readable["support"]:
        given = task.support
        of_images = {"pixels": lambda: given.pixels(torch.arange(1)), "preprojection": lambda: given.preprojection}
        for field, read in of_images.items():
            if field in declared:
                assert len(read())
            else:
                with pytest.raises(MethodError, match=f"the images have no {field}"):
                    read()
    if readable["validation"]:
        assert task.validation.features.shape[1] == 1, "views are of the support"
    if readable["support"]:
        assert (task.support.captions is not None) == ("captions" in declared)


def reachable(value: Any, depth: int = 3) -> list[Any]:
    """Everything that hangs on a value, a few steps deep."""
    found = [value]
    if depth:
        inner = (
            list(value.values())
            if isinstance(value, Mapping)
            else list(value)
            if isinstance(value, list | tuple)
            else []
        )
        inner += list(getattr(value, "__dict__", {}).values())
        inner += [getattr(value, name) for name in getattr(type(value), "__slots__", ()) if hasattr(value, name)]
        for part in inner:
            found += reachable(part, depth - 1)
    return found


def test_nothing_of_the_scored_images_hangs_on_a_task(world, cache):
    made = plan(world, cache, "fsnl")
    job, provider = made.jobs[0], provider_of_plan(made)
    scored = provider.scored("Animals")
    task, _ = task_of(job, Template(), provider)
    parts = reachable(task)
    assert not [part for part in parts if isinstance(part, Features | Path)]
    tensors = [part for part in parts if isinstance(part, torch.Tensor)]
    assert len(tensors) >= 2
    rows = {row.numpy().tobytes() for features in scored.values() for row in features.image[:, 0]}
    support = {row.numpy().tobytes() for row in task.support.features[:, 0]}
    assert not rows & support
    texts = [part for part in parts if isinstance(part, str)]
    assert not [text for text in texts if text.endswith((".jpg", ".png")) or "/" in text]


def test_a_drawn_image_that_cannot_be_read_takes_its_label_and_caption_along(world, cache, monkeypatch):
    made = plan(world, cache, "fsnl")
    job, provider = made.jobs[0], provider_of_plan(made)
    whole, _ = task_of(job, Template(), provider)
    original = provider.encoder.features

    def without_the_first(*arguments: Any) -> tuple[torch.Tensor, list[int]]:
        image, readable = original(*arguments)
        return image[1:], readable[1:]

    monkeypatch.setattr(provider.encoder, "features", without_the_first)
    rest, lost = task_of(job, Template(), provider)
    assert torch.equal(rest.support.features, whole.support.features[1:])
    assert torch.equal(rest.support.label, whole.support.label[1:])
    assert rest.support.captions == whole.support.captions[1:]
    assert whole.support.captions[0] != whole.support.captions[1]
    assert [path.endswith(job.manifest.picks_of_part("train")[0].path) for path in lost] == [True]


# -- the images --------------------------------------------------------------------------------------------------------


def test_scored_images_come_by_sha256_whatever_the_order_of_the_split_file(world, cache, tmp_path):
    first = provider_of_plan(plan(world, cache, "fsnl")).scored("Animals")
    mixed = make_root(tmp_path / "data")

    def shuffle(content: dict[str, Any]) -> None:
        items = list(content["test"].values())
        random.Random(0).shuffle(items)
        content["test"] = {str(i): item for i, item in enumerate(items)}

    for folder in ("Animals6_OOP", "Animals3_IP"):
        edit_split(mixed / folder, shuffle)
    made = plan(mixed, cache, "fsnl")
    second = provider_of_plan(made).scored("Animals")
    for side, features in first.items():
        assert torch.equal(features.image, second[side].image)
        assert torch.equal(features.label, second[side].label)
    data = made.domains["Animals"]
    split = data.oop["test"]
    in_order = sorted((data.digests[split.file(item)], item.label) for item in split.items)
    assert first["oop"].label.tolist() == [label for _, label in in_order]
    assert first["oop"].label.tolist() != sorted(first["oop"].label.tolist())


def test_scores_gets_images_of_its_own_and_a_vocabulary_and_nothing_else(world, cache, monkeypatch):
    made = plan(world, cache, "zero_shot")
    given: list[tuple[Any, ...]] = []
    cls = type(make_method(made.jobs[0].method.choice))
    original = cls.scores
    monkeypatch.setattr(cls, "scores", lambda self, *args: given.append(args) or original(self, *args))
    run(made.jobs[0], provider_of_plan(made))
    assert len(given) == 3
    for images, vocabulary in given:
        image = images.features
        assert type(images) is Images, "and no label"
        assert type(image) is torch.Tensor
        assert vars(images) == {"features": image, "_kinds": {}, "_pixels": None}
        assert type(vocabulary) is Vocabulary
        assert image.untyped_storage().nbytes() == image.numel() * image.element_size(), "a window on more images"
        assert image._base is None
        assert vars(image) == {}


def test_in_the_joint_vocabulary_nothing_tells_the_side_of_an_image(world, cache, monkeypatch):
    made = plan(world, cache, "zero_shot")
    given: list[tuple[torch.Tensor, Vocabulary, torch.Tensor]] = []
    cls = type(make_method(made.jobs[0].method.choice))
    original = cls.scores

    def spied(self: Method, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
        given.append((images.features[:, 0], vocabulary, original(self, images, vocabulary)))
        return given[-1][2]

    monkeypatch.setattr(cls, "scores", spied)
    provider = provider_of_plan(made)
    cell = run(made.jobs[0], provider)
    (image, vocabulary, scores), *later = given
    assert set(vocabulary.oop) == {True, False}
    assert [set(v.oop) for _, v, _ in later] == [{True}, {False}], "the joint vocabulary comes first"
    assert all(torch.equal(image, other) for other, _, _ in later), "all images are scored in every vocabulary"
    rows = {side: features.image[:, 0].tolist() for side, features in provider.scored("Animals").items()}
    assert sorted(image.tolist()) == sorted(row for own in rows.values() for row in own)
    sides = ["".join(side for side in rows if row in rows[side]) for row in image.tolist()]
    assert sides != sorted(sides) != sides[::-1]
    answered = dict(zip(map(tuple, image.tolist()), scores.argmax(dim=1).tolist(), strict=True))
    answers = unpack(cell.predictions_content)
    for side, own in rows.items():
        assert answers[f"joint_{side}"].tolist() == [answered[tuple(row)] for row in own]


def test_the_order_of_scored_images_differs_between_cells_and_is_none_that_a_method_could_know(world, cache):
    made = plan(world, cache, "zero_shot", "fsnl")
    provider = provider_of_plan(made)
    images = [judge_input(job, provider).query.images.arrays["features"][:, 0] for job in made.jobs]
    again = [judge_input(job, provider).query.images.arrays["features"][:, 0] for job in made.jobs]
    assert all((one == other).all() for one, other in zip(images, again, strict=True)), "every run has the same order"
    assert not (images[0] == images[1]).all()
    by_digest = [row for features in provider.scored("Animals").values() for row in features.image[:, 0].tolist()]
    keys = [key for features in provider.scored("Animals").values() for key in features.sha256]
    known = [row for _, row in sorted(zip(keys, by_digest, strict=True))]
    assert all(image.tolist() != known for image in images)


def judge_input(job: Job, provider: FeatureProvider) -> CellInput:
    return Judge([job], Template(), provider)[0]


def test_what_a_process_gets_names_no_image_and_no_label(world, cache):
    made = plan(world, cache, "fsnl")
    job, provider = made.jobs[0], provider_of_plan(made)
    content = cloudpickle.dumps(judge_input(job, provider))
    for features in provider.scored("Animals").values():
        assert not [
            digest for digest in features.sha256 if digest.encode() in content or bytes.fromhex(digest) in content
        ]
    assert b".jpg" not in content
    assert job.spec.key.encode() not in content
    assert job.spec.dataset.fingerprint.encode() not in content


# -- hidden labels -----------------------------------------------------------------------------------------------------


def run(job: Job, provider: FeatureProvider) -> Any:
    with one_thread_per_operation(provider.device):
        return run_cell(job, Template(), provider)


def exchanged(
    original: Callable[[FeatureProvider, str], dict[str, Features]],
) -> Callable[[FeatureProvider, str], dict[str, Features]]:
    """``FeatureProvider.scored`` with other labels on the same images."""

    def scored(self: FeatureProvider, domain: str) -> dict[str, Features]:
        found = {}
        for side, features in original(self, domain).items():
            order = torch.randperm(len(features.label), generator=torch.Generator().manual_seed(1))
            found[side] = dataclasses.replace(features, label=features.label[order])
        return found

    return scored


@pytest.mark.slow
@pytest.mark.parametrize("method", names("method"))
def test_predictions_do_not_depend_on_hidden_labels(world, cache, monkeypatch, method):
    needs = load("method", method).value.needs  # prompts and adapters, and patch tokens, need a vision transformer
    made = plan(world, cache, method, backbone="beyond-mini-vit" if needs.model or needs.tokens else "beyond-mini")
    (job,) = made.jobs
    true = run(job, provider_of_plan(made))
    monkeypatch.setattr(FeatureProvider, "scored", exchanged(FeatureProvider.scored))
    false = run(job, provider_of_plan(made))
    assert true.failure is None
    assert true.predictions == false.predictions
    assert true.metrics != false.metrics
