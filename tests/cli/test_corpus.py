"""``harness corpus``: what a user types, and what bad input gets."""

from __future__ import annotations

import json

import pytest

from harness.cli.main import execute
from harness.corpus.record import read_record, stated, write_record


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a red rose\nrose hips\nWolves and the snow\n")
    (tmp_path / "b.txt").write_text("a wolf\n")
    (tmp_path / "names.lst").write_text("rose\nrose hip\nwolf\nzebra\n")
    return tmp_path


def run(capsys, *arguments):
    code = execute(["corpus", *arguments])
    return code, *capsys.readouterr()


def test_count_show_merge_and_compare(corpus, capsys):
    options = ("--names", "names.lst", "--corpus", "mine", "--corpus-captions", "400")
    code, out, err = run(capsys, "count", "*.txt", *options, "--out", "all.json")
    assert code == 0
    assert "mine: 4 names, 1 oop, 1 ambiguous, 2 ip" in out
    assert "at most 300 in the whole corpus of 400 captions" in out
    assert "counting captions: done, 4 captions" in err
    for number in (1, 2):
        run(capsys, "count", "*.txt", *options, "--out", f"{number}.json", "--shard", f"{number}/2")
    assert run(capsys, "merge", "2.json", "1.json", "--out", "sum.json")[0] == 0
    assert (corpus / "sum.json").read_bytes() == (corpus / "all.json").read_bytes()
    assert run(capsys, "merge", "all.json", "1.json", "--out", "x.json")[0] == 2
    code, out, _ = run(capsys, "compare", "1.json", "all.json")
    assert (code, "3 names with the same verdict, 1 with another" in out) == (3, True)
    assert run(capsys, "compare", "sum.json", "all.json")[0] == 0
    code, out, _ = run(capsys, "show", "all.json", "--name", "rose hip")
    assert "rose hip: folded in a.txt row 1: rose hips" in out
    assert json.loads(run(capsys, "show", "all.json", "--json")[1])["corpus"] == "mine"
    assert not list(corpus.glob("*.unfinished"))


def test_skipped_files_set_the_exit_code_of_count_and_merge(corpus, capsys):
    (corpus / "bad.parquet").write_bytes(b"PAR1")
    options = ("--names", "names.lst", "--keep-going")
    assert run(capsys, "count", "*.txt", "bad.parquet", *options, "--out", "all.json")[0] == 1
    code, out, _ = run(capsys, "merge", "all.json", "--out", "sum.json")
    assert (code, "bad.parquet" in out) == (1, True)


def test_stated_record_is_shown_and_compared(corpus, capsys):
    write_record(corpus / "list.json", stated("mine", "somebody", {"rose": "oop", "wolf": "ip"}))
    run(capsys, "count", "*.txt", "--names", "names.lst", "--out", "all.json")
    assert "stated by somebody, not counted" in run(capsys, "show", "list.json")[1]
    code, out, _ = run(capsys, "compare", "list.json", "all.json")
    assert code == 3
    assert "only in all.json: 2 names: rose hip, zebra" in out
    assert "nothing to add" in run(capsys, "merge", "all.json", "list.json", "--out", "x.json")[2]


def test_a_record_never_replaces_what_is_read(corpus, capsys):
    before = {path: path.read_bytes() for path in corpus.iterdir()}
    for out in ("a.txt", "names.lst"):
        code, _, err = run(capsys, "count", "*.txt", "--names", "names.lst", "--out", out)
        assert (code, "is a file that is read" in err) == (2, True)
    assert {path: path.read_bytes() for path in corpus.iterdir()} == before


def test_names_have_several_forms(corpus, capsys, make_root):
    root = make_root(corpus / "root")
    (corpus / "names.json").write_text('{"rose": ["wolf"], "zebra": null}')
    assert run(capsys, "count", "a.txt", "--names", "names.json", "--out", "a.json")[0] == 0
    assert read_record(corpus / "a.json").by_name["rose"].within.synonyms == 3
    assert run(capsys, "count", "a.txt", "--names", str(root), "--out", "b.json")[0] == 0
    assert len(read_record(corpus / "b.json").concepts) > 2


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("rose\n!!\n", "'!!' is empty after folding"),
        ('{"rose": ["\U0001f339"]}', "is empty after folding"),
        ("", "has no names"),
        ('{"rose": 1}', "the synonyms of rose are no list"),
        ('{"rose": [], "rose": []}', "occurs twice"),
        ("[1]", "neither a list of texts nor an object"),
        ("\xff", "it is not UTF-8 text"),
    ],
)
def test_bad_names_are_named(corpus, capsys, names, reason):
    file = corpus / ("bad.json" if names[:1] in "{[" and names else "bad.lst")
    file.write_text(names, encoding="latin-1" if names == "\xff" else "utf-8")
    code, _, err = run(capsys, "count", "a.txt", "--names", file.name, "--out", "a.json")
    assert (code, reason in err) == (2, True), err


def test_doubtful_names_are_noted(corpus, capsys):
    (corpus / "names.lst").write_text("the\nWolf\nwolf\n")
    code, _, err = run(capsys, "count", "a.txt", "--names", "names.lst", "--out", "a.json")
    assert code == 0
    assert "'the' is a stop word" in err
    assert "'Wolf', 'wolf' are one name after folding" in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["c.txt", "--out", "a.json"], "no file of captions matches c.txt"),
        (["a.txt", "--out", "."], "is a folder"),
        (["a.txt", "--out", "a.txt/b.json"], "the record cannot be written"),
        (["a.txt", "--out", "a.json", "--shard", "2"], "is not i/n"),
        (["a.txt", "--out", "a.json", "--column", "x"], "plain text without columns"),
        (["names.txt", "a.txt", "--out", "a.json"], "no file of captions"),
    ],
)
def test_bad_options_are_one_sentence(corpus, capsys, arguments, reason):
    code, out, err = run(capsys, "count", *arguments, "--names", "names.lst")
    assert (code, out, reason in err) == (2, "", True), err
    assert not (corpus / "a.json").exists()


def test_names_file_is_not_counted_as_captions(corpus, capsys):
    (corpus / "names.txt").write_text("rose\n")
    assert "is among the captions" in run(capsys, "count", "*.txt", "--names", "names.txt", "--out", "a.json")[2]


def test_skipped_file_is_listed_and_gives_exit_code_1(corpus, capsys):
    (corpus / "c.parquet").write_bytes(b"PAR1")
    assert run(capsys, "count", ".", "--names", "names.lst", "--out", "a.json")[0] == 2
    code, out, _ = run(capsys, "count", ".", "--names", "names.lst", "--out", "a.json", "--keep-going")
    assert (code, "skipped: c.parquet is damaged" in out) == (1, True)
