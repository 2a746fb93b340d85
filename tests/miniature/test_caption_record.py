"""The record of the miniature's captions: OOP names are absent, and it is what the command makes of the captions."""

from __future__ import annotations

import pytest

from harness.cli.main import execute
from harness.corpus.record import read_record
from harness.miniature.build import CAPTION_RECORD
from harness.miniature.caption_record import main, side_names


@pytest.fixture(scope="module")
def record():
    return read_record(CAPTION_RECORD)


def test_oop_is_decided_for_exactly_the_oop_names(record):
    assert record.corpus == "beyond-mini"
    assert sorted(record.names("oop")) == sorted(side_names("oop"))
    assert sorted(record.names("ip")) == sorted(side_names("ip"))


def test_names_inside_of_names_aliases_and_words_around_a_stem_make_no_hit(record):
    """216 OOP names share all of their words but the stem with other captions; no rule is misled by them."""
    assert any(len(name.split()) == 1 for name in side_names("oop"))
    assert any(len(name.split()) > 3 for name in side_names("oop"))
    for name in side_names("oop"):
        concept = record.by_name[name]
        assert (concept.within.words, concept.beyond.words, concept.evidence) == (0, 0, ())


@pytest.mark.slow
def test_record_is_what_the_command_makes(tmp_path, monkeypatch, capsys):
    main(["--out", str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    options = "--names names.json --out record.json --corpus beyond-mini --context-length 32 --evidence 1"
    assert execute(["corpus", "count", "joint.txt", "text-only.txt", *options.split()]) == 0
    assert (tmp_path / "record.json").read_bytes() == CAPTION_RECORD.read_bytes()
    assert "396 names, 216 oop, 0 ambiguous, 180 ip" in capsys.readouterr().out
