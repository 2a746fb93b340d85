"""What methods declare is remembered: by everything that decides it, by this user, and for no file that may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.runner import resolve_methods as resolving
from harness.runner.chosen_method import facts_of
from harness.runner.known_facts import KnownFacts
from harness.runner.request import MethodChoice

CHOICE = MethodChoice("zero_shot")


def question(name: str = "fsnl", preset: str | None = None, pool: object = None, **parameters: object) -> str | None:
    choice = MethodChoice(name, None, parameters)
    return resolving._Question(choice, preset, pool, resolving._origin(choice)).digest  # type: ignore[arg-type]


def test_facts_are_found_again(tmp_path: Path) -> None:
    facts = facts_of(CHOICE, None, None)
    asked = question("zero_shot")
    assert KnownFacts(tmp_path).get(asked) is None
    KnownFacts(tmp_path).put({asked: facts})
    KnownFacts(tmp_path).put({"another question": facts})
    assert KnownFacts(tmp_path).get(asked) == facts
    assert KnownFacts(tmp_path).get(None) is None


def test_every_part_of_the_question_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.parameters import CommandLineText

    asked = [question(), question(preset="paper"), question(pool="test-unlabeled"), question("coop")]
    asked += [question(lr=0.1), question(lr=0.2), question(lr="0.1"), question(lr=CommandLineText("0.1"))]
    monkeypatch.setattr(resolving, "harness_versions", lambda: {"harness": "another"})
    asked.append(question())
    assert None not in asked
    assert len(set(asked)) == len(asked)


def test_parameters_that_are_no_plain_values_are_asked_each_time(tmp_path: Path) -> None:
    assert question(lr=tmp_path) is None
    assert question(lr=(1, 2)) is None


def test_facts_about_files_are_not_remembered(tmp_path: Path) -> None:
    facts = facts_of(CHOICE, None, None).model_copy(update={"files": {"0" * 64: "sentences.json"}})
    KnownFacts(tmp_path).put({"question": facts})
    assert KnownFacts(tmp_path).get("question") is None


@pytest.mark.parametrize("damage", [b"", b"\xff", b"{}", b"0" * 32 + b"\n{}"])
def test_a_damaged_or_foreign_file_is_replaced(tmp_path: Path, damage: bytes) -> None:
    facts = facts_of(CHOICE, None, None)
    KnownFacts(tmp_path).put({"question": facts})
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    file.write_bytes(damage or content.replace(b'"seeded":false', b'"seeded":true'))
    assert KnownFacts(tmp_path).get("question") is None
    KnownFacts(tmp_path).put({"question": facts})
    assert file.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    KnownFacts(tmp_path / "cache").put({"question": facts_of(CHOICE, None, None)})
    assert KnownFacts(tmp_path / "cache").get("question") is None
