"""Which records of corpora a run adds to its rows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from harness.corpus.record import stated, write_record
from harness.progress import NullReporter
from harness.runner.corpus_records import corpus_records, given_records
from harness.runner.plan import Plan
from harness.runner.request import MethodChoice, Request


class Notes(NullReporter):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def test_a_given_record_of_another_corpus_is_reported(tmp_path: Path) -> None:
    for corpus in ("ours", "theirs"):
        write_record(tmp_path / f"{corpus}.json", stated(corpus, "a list", {"fire engine": "oop"}))
    backbone = SimpleNamespace(record=SimpleNamespace(corpus="ours"))
    plan = cast(Plan, SimpleNamespace(resolved=backbone, root=None, jobs=[], domains={}))
    given = tuple(tmp_path / f"{corpus}.json" for corpus in ("ours", "theirs"))
    notes = Notes()
    request = Request((MethodChoice("zero_shot"),), corpus_records=given)
    found = corpus_records(given_records(request), plan, notes)
    assert [record.corpus for record in found] == ["ours", "theirs"]
    (text,) = notes.texts
    assert text == f"{given[1]} is not used: its corpus is theirs, and that of the backbone is ours"
