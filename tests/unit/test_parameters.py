"""A parameter of any type can be written, recorded and read again, and is then the same."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import PluginError, UserError
from harness.method import Method, build, parameters
from harness.parameters import Text, written
from harness.types.cell import MethodRecord


class Mode(str, Enum):
    MEAN = "mean"
    NONE = "none"


class Level(Enum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Inner:
    alpha: float = 1.0
    words: tuple[str, ...] = ()


def method(annotation: Any, **default: Any) -> type[Method]:
    """A method with one parameter ``x``."""
    made = dataclasses.make_dataclass(
        "Example",
        [("x", annotation, dataclasses.field(**default) if default else dataclasses.MISSING)],
        bases=(Method,),
        namespace={"fit": lambda self, task: self, "scores": lambda self, image, vocabulary: image},
    )
    assert issubclass(made, Method)
    return made


numbers = st.integers(-(10**9), 10**9)
reals = st.floats(allow_nan=False)
words = st.text(max_size=6) | st.sampled_from(
    ["none", "None", "null", "true", "7", "1.5", "[1]", '"a"', "inf", "", " 7"]
)

KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "bool": (bool, st.booleans()),
    "int": (int, numbers),
    "int or None": (int | None, numbers | st.none()),
    "float": (float, reals),
    "str": (str, words),
    "str or None": (str | None, words | st.none()),
    "int or str": (int | str, numbers | words),
    "Literal of numbers": (Literal[4, 8], st.sampled_from([4, 8])),
    "Literal of words": (Literal["none", "4"], st.sampled_from(["none", "4"])),
    "Enum of words": (Mode, st.sampled_from(Mode)),
    "Enum of numbers": (Level, st.sampled_from(Level)),
    "float or a word": (float | Literal["auto"], st.floats(-9, 9) | st.just("auto")),
    "Path": (Path, words.map(Path)),
    "list of int": (list[int], st.lists(numbers)),
    "list of str": (list[str], st.lists(words)),
    "list of float or None": (list[float] | None, st.lists(reals) | st.none()),
    "tuple": (tuple[int, ...], st.lists(numbers).map(tuple)),
    "pairs": (tuple[tuple[int, str], ...], st.lists(st.tuples(numbers, words)).map(tuple)),
    "dict": (dict[str, float], st.dictionaries(words, reals)),
    "dict by number": (dict[int, list[int]], st.dictionaries(numbers, st.lists(numbers))),
    "dataclass": (Inner, st.builds(Inner, reals, st.lists(words).map(tuple))),
}


def recorded(made: Method) -> Any:
    """The parameter as it stands in a leaderboard file."""
    record = MethodRecord(name="", distribution="", version="", code="", parameters=parameters(made), needs=())
    return MethodRecord.model_validate_json(record.model_dump_json()).parameters["x"]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_what_a_record_holds_is_read_back_from_its_command_and_from_its_file(kind: str, data: st.DataObject) -> None:
    _, values = KINDS[kind]
    cls = CLASSES[kind]
    value = data.draw(values)
    made = build("example", cls, values={"x": value})
    assert parameters(made) == {"x": value}
    for again in (Text(written(recorded(made))), recorded(made)):
        back = build("example", cls, values={"x": again})
        assert parameters(back) == {"x": value}
        assert type(parameters(back)["x"]) is type(value)
        assert recorded(back) == recorded(made)


CLASSES = {kind: method(annotation) for kind, (annotation, _) in KINDS.items()}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("list of int", "[3, 4]", [3, 4]),
        ("list of int", '["3"]', [3]),
        ("tuple", "[3,4]", (3, 4)),
        ("Literal of numbers", "8", 8),
        ("Literal of words", "4", "4"),
        ("Literal of words", "none", "none"),
        ("Enum of numbers", "2", Level.HIGH),
        ("Enum of words", "mean", Mode.MEAN),
        ("dict", '{"a": 1}', {"a": 1.0}),
        ("dataclass", '{"alpha": 3}', Inner(3.0)),
        ("int or str", "7", 7),
        ("int or str", '"7"', "7"),
        ("str or None", "none", None),
        ("str or None", '"none"', "none"),
        ("str", "7", "7"),
        ("str", "[1]", "[1]"),
        ("float", "1", 1.0),
        ("float", "inf", float("inf")),
        ("bool", "on", True),
        ("Path", "a/b", Path("a/b")),
    ],
)
def test_text_is_json_where_that_fits_and_else_a_word(kind: str, text: str, value: Any) -> None:
    found = parameters(build("example", CLASSES[kind], values={"x": Text(text)}))["x"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("list of int", "3,4", "input should be a valid list"),
        ("list of int", '[3, "a"]', "input should be a valid integer"),
        ("Literal of numbers", "5", "input should be 4 or 8"),
        ("list of int", "[3", "invalid json"),
        ("int", "true", "input should be a valid integer"),
        ("bool", "2", "input should be a valid boolean"),
    ],
)
def test_text_that_does_not_fit_is_told_with_the_reason(kind: str, text: str, reason: str) -> None:
    with pytest.raises(UserError, match=r"example: parameter x=.* is not valid: ") as error:
        build("example", CLASSES[kind], values={"x": Text(text)})
    assert reason in error.value.message


# -- defaults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "default", "value"),
    [(float, 1, 1.0), (Path, "a", Path("a")), (tuple[int, ...], [1], (1,)), (Level, 2, Level.HIGH)],
)
def test_a_default_is_read_as_any_other_value(annotation: Any, default: Any, value: Any) -> None:
    for given_ in ({"default": default}, {"default_factory": lambda: default}):
        if given_.get("default") != [1]:
            cls = method(annotation, **given_)
            made, asked = build("example", cls), build("example", cls, values={"x": value})
            assert repr(parameters(made)) == repr(parameters(asked)) == repr({"x": value})


def test_a_default_of_another_type_is_told() -> None:
    with pytest.raises(PluginError, match="example: the default x=None is not valid: input should be a valid integer"):
        build("example", method(int, default=None))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (set[str], {"a"}),
        (frozenset[str], frozenset()),
        (Any, {"a"}),
        (list[set[int]], [{1}]),
        (dict[str, set[int]], {"a": {1}}),
        (dataclasses.make_dataclass("Holder", [("inner", set[int])]), {"inner": [1]}),
    ],
)
def test_a_set_is_refused_since_its_order_is_that_of_one_process(annotation: Any, value: Any) -> None:
    with pytest.raises(PluginError, match="example: parameter x holds a set") as error:
        build("example", method(annotation), values={"x": value})
    assert "use a tuple" in (error.value.hint or "")
