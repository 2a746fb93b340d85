"""Errors are sentences that survive a process border."""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path

import pytest

from harness import errors
from harness.errors import DataError, HarnessError, closest, error_location, near_path, one_line, unknown_name

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HarnessError)]


@pytest.mark.parametrize("kind", KINDS)
def test_pickling_preserves_type_message_and_hint(kind: type[HarnessError]) -> None:
    again = pickle.loads(pickle.dumps(kind("broken", "mend it")))
    assert (type(again), again.message, again.hint, str(again)) == (kind, "broken", "mend it", "broken\nhint: mend it")


def test_an_error_without_hint_is_one_line() -> None:
    assert str(DataError("broken")) == "broken"


def test_unknown_name_suggests_the_closest_or_lists_all() -> None:
    assert unknown_name("domain", "Animal", ["Food", "Animals"]).hint == "did you mean Animals?"
    assert unknown_name("domain", "xyz", ["Food", "Animals"]).hint == "known: Animals, Food"
    assert unknown_name("domain", "xyz", []).hint == "known: none"
    assert unknown_name("domain", "xyz", []).message == "no domain named 'xyz'"
    assert closest("xyz", iter(["Food"])) is None
    assert closest("vit-b-16", ["ViT-S-16", "ViT-B-16"]) == "ViT-B-16"


def test_one_line_returns_printable_text() -> None:
    assert one_line(ValueError("the moon is\n\tin the wrong place")) == "the moon is in the wrong place"
    assert one_line("\x1b[31mrot \udc80 Fuß") == r"\x1b[31mrot \udc80 Fuß"


def test_error_location_is_relative_to_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import json\n\ndef outer(text):\n    return inner(text)\n\ndef inner(text):\n    return json.loads(text)\n"
    for name in ("acme/__init__.py", "acme/clip/__init__.py", "acme/clip/deep.py", "acme_alone.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module, file in (
        ("acme", "acme/__init__.py"),
        ("acme.clip", "acme/clip/__init__.py"),
        ("acme.clip.deep", "acme/clip/deep.py"),
        ("acme_alone", "acme_alone.py"),
    ):
        with pytest.raises(ValueError, match="Expecting value") as error:
            importlib.import_module(module).outer("")
        assert error_location(error.value, module) == f"{file}:4 in outer, {file}:7 in inner"
        assert error_location(error.value, "another") == ""
        monkeypatch.delitem(sys.modules, module)


def test_a_missing_path_is_answered_with_a_similar_one_or_with_what_the_folder_has(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for name in "abcdefg":
        (tmp_path / "results" / name).touch()
    assert near_path(tmp_path / "reslts" / "leaderboard.json") == f"a similar path is {tmp_path / 'results'}"
    assert near_path(tmp_path / "results" / "xyz.json") == f"folder {tmp_path / 'results'} has a, b, c, d, e and 2 more"
