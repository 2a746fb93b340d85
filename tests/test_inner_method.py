"""A method inside of another one: what its name means, what the record holds, and what the outer one asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic_core import to_jsonable_python

from harness.errors import HarnessError, PluginError, UserError
from harness.inner_method import Inner, wrap
from harness.method import Method, build, parameters
from harness.parameters import CommandLineText
from harness.registry import load
from harness.types.task import Needs, Pool


@dataclass
class Outer(Method):
    """Wraps."""

    needs = Needs(unlabeled=True)
    inner: Inner | None = None
    pool: Pool = "train-unlabeled"

    def __post_init__(self) -> None:
        if self.inner is not None:
            self.inner_ = wrap(self, self.inner)

    def fit(self, task: Any) -> Any:
        raise NotImplementedError

    scores = fit


def outer(inner: Any = None, **values: Any) -> Outer:
    made = build("outer", Outer, values={"inner": inner, **values})
    assert isinstance(made, Outer)
    return made


def test_a_name_becomes_all_parameters_and_the_code_behind_them() -> None:
    plugin = load("method", "tip_adapter")
    inner = outer(CommandLineText("tip_adapter")).inner
    assert inner is not None
    assert inner.parameters == parameters(build("tip_adapter", plugin.value))
    assert (inner.name, inner.distribution, inner.version) == (
        "tip_adapter",
        plugin.origin.distribution,
        plugin.origin.version,
    )
    assert inner.code == plugin.origin.code
    assert outer().inner is None
    assert outer(CommandLineText("none")).inner is None


@pytest.mark.parametrize(
    "given",
    [
        "tip_adapter",
        CommandLineText('{"name": "tip_adapter", "parameters": {"alpha": 3}}'),
        {"name": "tip_adapter", "preset": "paper", "parameters": {"beta": 2.0}},
    ],
)
def test_what_a_record_holds_gives_the_same_method_again(given: Any) -> None:
    made = outer(given)
    again = outer(json.loads(json.dumps(to_jsonable_python(parameters(made))))["inner"])
    assert parameters(again) == parameters(made)
    assert parameters(again.inner_) == parameters(made.inner_)


def test_parameters_and_presets_of_the_wrapped_method_are_read_as_its_own() -> None:
    plain, changed, paper = (
        outer(given).inner_
        for given in (
            "tip_adapter",
            CommandLineText('{"name": "tip_adapter", "parameters": {"alpha": 3}}'),
            {"name": "tip_adapter", "preset": "paper"},
        )
    )
    assert parameters(changed) == parameters(plain) | {"alpha": 3.0}
    assert parameters(paper) == parameters(build("tip_adapter", type(paper), "paper"))


def test_the_outer_method_asks_for_what_both_need() -> None:
    made = outer({"name": "tip_adapter", "preset": "paper"})
    assert made.needs.declared() == ("support", "validation", "unlabeled")
    assert (made.views, made.crop) == (10, 0.5)
    assert outer().needs.declared() == Outer.needs.declared() == ("unlabeled",), "other instances are as they were"
    assert replace(made, inner=None).needs.declared() == ("unlabeled",)


def test_two_pools_are_refused_with_how_to_give_both_the_same() -> None:
    with pytest.raises(UserError, match="zsnl wants the pool train-unlabeled, not test-unlabeled") as error:
        outer("zsnl", pool="test-unlabeled")
    hint = error.value.hint or ""
    same = outer(CommandLineText(hint[hint.index("{") :].replace("'", '"')), pool="test-unlabeled")
    assert same.inner_.pool == same.pool


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (CommandLineText("tip_adaptor"), PluginError, "no method named 'tip_adaptor'"),
        (CommandLineText('{"name": "gda", "colour": 1}'), UserError, "no key of a wrapped method named 'colour'"),
        (
            CommandLineText('{"name": "gda", "parameters": {"alhpa": 1}}'),
            UserError,
            "no parameter of gda named 'alhpa'",
        ),
        (CommandLineText('{"name": "gda", "preset": "best"}'), UserError, "no preset of gda named 'best'"),
        (CommandLineText('{"colour": 1}'), PluginError, "no method named"),
        ({"colour": 1}, UserError, "outer: parameter inner=.* is not valid"),
        (7, UserError, "outer: parameter inner=7 is not valid"),
    ],
)
def test_what_names_no_method_is_a_sentence(given: Any, kind: type[HarnessError], message: str) -> None:
    with pytest.raises(kind, match=message):
        outer(given)


def test_needs_are_joined() -> None:
    one, other = Needs(support=True, captions=True), Needs(captions=True, ip=True)
    assert one | other == Needs(support=True, captions=True, ip=True)


def test_a_wrapper_of_a_method_with_randomness_has_randomness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outer, "seeded", False)
    assert not outer("zero_shot").seeded
    assert outer("coop").seeded
    assert not Outer.seeded
