"""Building a method from presets and text, and the view of a task that a method gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import torch

from harness.errors import MethodError, UserError
from harness.method import Method, build, parameters
from harness.parameters import CommandLineText
from harness.types.features import Features
from harness.types.images import Images
from harness.types.task import Needs, Support, Task
from harness.types.vocabulary import Vocabulary


@dataclass
class Example(Method):
    """An example."""

    presets = {"paper": {"lr": 0.5, "kind": "sgd"}}  # noqa: RUF012

    lr: float = 0.1
    steps: int | None = 3
    kind: Literal["adam", "sgd"] = "adam"
    flag: bool = False
    learned_: Any = field(default=None, init=False)

    def fit(self, task: Task) -> Example:
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
        return images.features[:, 0]


def test_defaults_then_preset_then_single_values() -> None:
    assert parameters(build("example", Example)) == {"lr": 0.1, "steps": 3, "kind": "adam", "flag": False}
    assert parameters(build("example", Example, "paper")) == {"lr": 0.5, "steps": 3, "kind": "sgd", "flag": False}
    made = parameters(build("example", Example, "paper", {"lr": 2.0}))
    assert (made["lr"], made["kind"]) == (2.0, "sgd")


def test_command_line_text_becomes_the_declared_type() -> None:
    texts = {"lr": "2e-3", "steps": "7", "kind": "sgd", "flag": "on"}
    made = build("example", Example, values={key: CommandLineText(text) for key, text in texts.items()})
    assert parameters(made) == {"lr": 2e-3, "steps": 7, "kind": "sgd", "flag": True}
    assert type(parameters(build("example", Example, values={"lr": 1}))["lr"]) is float


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": "quick"}, "example: parameter lr='quick' is not valid"),
        ({"steps": "1.5"}, "example: parameter steps='1.5' is not valid"),
        ({"kind": "lion"}, "example: parameter kind='lion' is not valid"),
        ({"lrr": 1}, "no parameter of example named 'lrr'"),
        ({"learned_": 1}, "no parameter of example named 'learned_'"),
    ],
)
def test_an_invalid_parameter_is_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        build("example", Example, values=values)
    assert error.value.message.startswith(message)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="no preset of example named 'papers'") as error:
        build("example", Example, "papers")
    assert error.value.hint == "did you mean paper?"


# -- what a method sees ------------------------------------------------------------------------------------------------


def task(_names: tuple[str, ...] | None = ("a", "b"), **more: Any) -> Task:
    return Task(
        _names=_names,
        noun="animal",
        text=None,  # type: ignore[arg-type]
        logit_scale=10.0,
        generator=torch.Generator(),
        device=torch.device("cpu"),
        **more,
    )


@pytest.mark.parametrize("need", ["support", "validation", "unlabeled", "ip", "clusters"])
def test_reading_an_undeclared_need_raises(need: str) -> None:
    with pytest.raises(MethodError, match=f"the task has no {need}: the method does not declare it") as error:
        getattr(task(), need)
    assert error.value.hint == f"add {need}=True to the method's needs"
    images = Support(torch.zeros(1, 1, 2), torch.zeros(1, dtype=torch.long))
    given = {"unlabeled": Images.of(images.features[:, 0]), "clusters": 3}.get(need, images)
    assert getattr(task(**{f"_{need}": given}), need) is given


def test_a_task_has_no_field_for_scored_images() -> None:
    fields = set(Task.__dataclass_fields__)
    assert fields == {
        *("noun", "text", "logit_scale", "generator", "device", "template", "shots", "progress"),
        *("_support", "_validation", "_unlabeled", "_ip", "_clusters", "_names"),
        *("_ip_names", "_ip_count"),
        *("_texts", "_model", "_projection"),
    }


def test_with_support_poses_other_images_of_the_same_or_of_the_ip_names() -> None:
    three = Support(torch.zeros(3, 1, 2), torch.tensor([0, 1, 1]))
    given = task(_names=("a", "b"), _ip=three, _ip_names=("c", "d"), shots=9)
    posed = given.with_support(three)
    assert (posed.support, posed.names, posed.shots, posed._validation) == (three, ("a", "b"), 2, None)
    of_ip = given.with_support(three, three, ip=True)
    assert (of_ip.names, of_ip.vocabulary.oop, of_ip.validation) == (("c", "d"), (False, False), three)
    assert given.with_support(three[:0]).shots == 0


def test_parts_of_a_task_share_its_progress() -> None:
    calls: list[tuple[int, int]] = []
    given = task(progress=lambda done, total: calls.append((done, total)))
    for number in range(2):
        given.as_part(number, 2).progress(3, 4)
    assert calls == [(3, 8), (7, 8)]


def test_labelled_images_keep_their_kinds() -> None:
    images = Images.of(torch.ones(2, 3))
    tokens = torch.ones(2, 1, 4, 3)
    made = Images(images.features, _kinds={"tokens": tokens}).labelled(torch.tensor([1, 0]))
    assert (made.label.tolist(), made.captions) == ([1, 0], None)
    assert torch.equal(made.tokens, tokens)


def test_declared_needs_are_listed_by_name() -> None:
    assert Needs().declared() == ()
    assert Needs(validation=True, support=True).declared() == ("support", "validation")
    assert Needs(captions=True).declared() == ("captions",)
    assert Needs(clusters=True, ip=True, unlabeled=True).declared() == ("unlabeled", "ip", "clusters")
    assert Needs(vocabulary=True, unlabeled=True).declared() == ("unlabeled", "vocabulary")


def test_vocabulary_is_available_if_declared_or_implied() -> None:
    for needs in (Needs(vocabulary=True), Needs(support=True), Needs(captions=True), Needs(validation=True)):
        assert needs.includes("vocabulary")
    for needs in (Needs(), Needs(unlabeled=True, ip=True, clusters=True)):
        assert not needs.includes("vocabulary")
    assert Needs(captions=True).includes("support")
    assert not Needs(validation=True).includes("support")
    for read in ("names", "vocabulary"):
        with pytest.raises(MethodError, match="the task has no vocabulary: the method does not declare it"):
            getattr(task(_names=None), read)
    assert task().vocabulary.names == task().names == ("a", "b")


def test_a_vocabulary_has_oop_names_first() -> None:
    joint = Vocabulary.of("animal", oop=("a", "b"), ip=("c",))
    assert (joint.names, joint.oop, len(joint)) == (("a", "b", "c"), (True, True, False), 3)
    assert task().vocabulary == Vocabulary(("a", "b"), (True, True), "animal")
    with pytest.raises(ValueError, match="1 names but 2 flags"):
        Vocabulary(("a",), (True, False), "animal")


@pytest.mark.parametrize(("image", "label"), [((3, 4), (3,)), ((3, 1, 4), (2,)), ((3, 1, 4), (3, 1))])
def test_features_of_a_wrong_shape_are_refused(image: tuple[int, ...], label: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(n, v, d\)|labels for"):
        Features(torch.zeros(image), torch.zeros(label, dtype=torch.long))
