"""A parameter of any type can be written, recorded and read again, and is then the same."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from copy import deepcopy
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness.errors import PluginError, StorageError, UserError
from harness.file_parameter import File, attach_paths
from harness.method import Method, build, parameters
from harness.parameters import CommandLineText, format_value, require_file_paths
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
words = st.text(max_size=6).filter(lambda text: "/" not in text) | st.sampled_from(  # a path is refused
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
    """The parameter as a leaderboard file stores it."""
    record = MethodRecord(name="", distribution="", version="", code="", parameters=parameters(made), needs=())
    return MethodRecord.model_validate_json(record.model_dump_json()).parameters["x"]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_round_trip_through_command_line_and_record(kind: str, data: st.DataObject) -> None:
    _, values = KINDS[kind]
    cls = CLASSES[kind]
    value = data.draw(values)
    made = build("example", cls, values={"x": value})
    assert parameters(made) == {"x": value}
    for again in (CommandLineText(format_value(recorded(made))), recorded(made)):
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
    ],
)
def test_command_line_text_is_parsed_as_json_or_string(kind: str, text: str, value: Any) -> None:
    found = parameters(build("example", CLASSES[kind], values={"x": CommandLineText(text)}))["x"]
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
def test_invalid_text_is_an_error_with_the_reason(kind: str, text: str, reason: str) -> None:
    with pytest.raises(UserError, match=r"example: parameter x=.* is not valid: ") as error:
        build("example", CLASSES[kind], values={"x": CommandLineText(text)})
    assert reason in error.value.message


# -- defaults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "default", "value"),
    [(float, 1, 1.0), (tuple[int, ...], [1], (1,)), (Level, 2, Level.HIGH)],
)
def test_defaults_are_converted_like_values(annotation: Any, default: Any, value: Any) -> None:
    for given_ in ({"default": default}, {"default_factory": lambda: default}):
        if given_.get("default") != [1]:
            cls = method(annotation, **given_)
            made, asked = build("example", cls), build("example", cls, values={"x": value})
            assert repr(parameters(made)) == repr(parameters(asked)) == repr({"x": value})


def test_a_default_of_another_type_is_an_error() -> None:
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
def test_sets_are_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(PluginError, match="example: parameter x contains a set") as error:
        build("example", method(annotation), values={"x": value})
    assert "use a tuple" in (error.value.hint or "")


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def words_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the working folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "words.txt"
    path.write_text("a wing")
    return path


def test_a_file_is_recorded_by_name_and_content_not_location(words_file: Path) -> None:
    made = build("example", method(File | None, default=None), values={"x": CommandLineText("words.txt")})
    digest = hashlib.sha256(b"a wing").hexdigest()
    assert recorded(made) == {"file": "words.txt", "sha256": digest}
    (words_file.parent / "elsewhere").mkdir()
    moved = words_file.rename(words_file.parent / "elsewhere" / "words.txt")
    again = build("example", type(made), values={"x": moved})
    assert (recorded(again), again) == (recorded(made), made)
    moved.write_text("a beak")
    assert recorded(build("example", type(made), values={"x": moved})) != recorded(made)


@pytest.mark.parametrize("annotation", [File, File | None, list[File], dict[str, File], Any])
def test_a_recorded_file_is_found_by_its_content(annotation: Any, words_file: Path) -> None:
    holds = {list[File]: lambda file: [file], dict[str, File]: lambda file: {"a": file}}.get(
        annotation, lambda file: file
    )
    file = File(words_file)
    made = build("example", method(annotation), values={"x": holds(file if annotation is Any else str(words_file))})
    assert parameters(made)["x"] == holds(file)
    record = recorded(made)
    if annotation is Any:
        return
    lost = build("example", type(made), values={"x": record})
    assert lost == made
    with pytest.raises(UserError, match=r"parameter x is the file words\.txt with sha256 .*, which was not found"):
        require_file_paths("example", parameters(lost))
    found = build("example", type(made), values=attach_paths({"x": record}, {file.sha256: words_file}))
    require_file_paths("example", parameters(found))
    assert found == made


def test_reading_a_changed_file_raises(words_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = pickle.loads(pickle.dumps(deepcopy(File("words.txt"))))  # as to a worker
    monkeypatch.chdir("..")
    assert (sent.read_text(), sent.read_bytes(), sent.path) == ("a wing", b"a wing", words_file)
    words_file.write_text("a beak")
    for read_ in (sent.read_text, sent.read_bytes, lambda: sent.path):
        with pytest.raises(StorageError, match=r"words\.txt has changed since the run began"):
            read_()
    words_file.unlink()
    with pytest.raises(StorageError, match=r"words\.txt cannot be read any more"):
        sent.read_bytes()


@pytest.mark.parametrize(
    ("name", "reason"), [("wrods.txt", "is not a file"), (".", "is not a file"), ("a\0b", "not a file")]
)
def test_a_missing_file_is_an_error(name: str, reason: str, words_file: Path) -> None:
    with pytest.raises(UserError, match=f"example: parameter x: .*{reason}"):
        build("example", method(File), values={"x": CommandLineText(name)})


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (str, "words.txt"),
        (str | None, "./words.txt"),
        (list[str], ["words.txt"]),
        (dict[str, float], {"words.txt": 0.5}),
        (Any, Path("nowhere")),
        (Any, {"a": Path()}),
    ],
)
def test_a_string_that_is_a_file_path_is_refused(annotation: Any, value: Any, words_file: Path) -> None:
    with pytest.raises(PluginError, match="parameter x") as error:
        build("example", method(annotation), values={"x": value})
    assert "annotate the field with harness.File" in (error.value.hint or "")


def test_a_string_that_is_a_folder_path_is_refused(words_file: Path) -> None:
    folder = words_file.parent
    for value in (str(folder), f"../{folder.name}", f"../{folder.name}/"):
        with pytest.raises(PluginError, match=r"parameter x=.* names a file or folder"):
            build("example", method(str), values={"x": CommandLineText(value)})
    (folder / "mean").mkdir()
    for value in ("mean", "/", "a/b", "nowhere/mean"):
        assert parameters(build("example", method(str), values={"x": CommandLineText(value)})) == {"x": value}


@pytest.mark.parametrize("annotation", [Path, Path | None, list[Path]])
def test_path_types_are_refused(annotation: Any) -> None:
    with pytest.raises(PluginError, match="parameter x has a path type"):
        build("example", method(annotation, default=None))


def test_literal_choices_may_equal_a_file_name(words_file: Path) -> None:
    made = build("example", method(Literal["words.txt", "none"]), values={"x": CommandLineText("words.txt")})
    assert parameters(made) == {"x": "words.txt"}


def test_the_package_exports_file() -> None:
    assert harness.File is File
    with pytest.raises(AttributeError, match="no attribute 'Flie'"):
        harness.Flie  # noqa: B018


def test_a_value_of_the_wrong_type_is_answered_with_the_type_and_an_example() -> None:
    @dataclasses.dataclass
    class Example(Method):
        lr: float | None = 0.01

    with pytest.raises(UserError) as found:
        build("example", Example, None, {"lr": CommandLineText("abc")})
    assert found.value.hint == "give float or None, for example -p lr=0.01"
