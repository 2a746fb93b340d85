"""The record: whole on disk, consistent, and bounded when it is read."""

from __future__ import annotations

import json

import pytest

from harness.corpus.counts import RuleCounts, decide, upper_bound
from harness.corpus.record import (
    CaptionFile,
    ConceptVerdict,
    CorpusRecord,
    Counting,
    Evidence,
    names_digest,
    parse_corpus_record,
    read_record,
    record_content,
    stated,
    write_record,
)
from harness.errors import DataError, UserError

HITS = RuleCounts(phrase=1, folded=2, synonyms=2, longest=2, words=3)


@pytest.fixture
def record():
    names = {"rose hip": ("dog rose",), "Löwe": ()}
    found = Evidence(file="a.parquet", row=3, rule="phrase", caption="a rose hip: \U0001f339")
    return CorpusRecord(
        corpus="LAION-400M",
        kind="counted",
        names_sha256=names_digest(names),
        counting=Counting(
            context_length=77,
            min_hits=1,
            evidence_per_concept=1,
            corpus_captions=300,
            files=(CaptionFile(path="a.parquet", bytes=10, sha256="0" * 64, rows=100, captions=90),),
        ),
        concepts=(
            ConceptVerdict(
                name="rose hip",
                synonyms=("dog rose",),
                verdict="ip",
                within=HITS,
                beyond=RuleCounts(),
                evidence=(found,),
            ),
            ConceptVerdict(name="Löwe", verdict="oop", within=RuleCounts(), beyond=RuleCounts()),
        ),
    )


def test_round_trip_preserves_record(tmp_path, record):
    write_record(tmp_path / "made" / "record.json", record)
    assert read_record(tmp_path / "made" / "record.json") == record
    released = stated("LAION-400M", "LAION-Beyond", {"rose": "oop", "cup": "ip"})
    assert parse_corpus_record(record_content(released), "a.json") == released
    assert (released.names("oop"), released.bound) == (["rose"], None)


def test_record_gives_rows_bound_and_verdicts(record):
    assert (record.counting.rows, record.counting.captions, record.bound) == (100, 90, 10.0)
    assert record.by_name["Löwe"].verdict == "oop"


@pytest.mark.parametrize(
    ("within", "beyond", "min_hits", "verdict"),
    [
        (RuleCounts(), RuleCounts(), 1, "oop"),
        (RuleCounts(words=1), RuleCounts(), 1, "ambiguous"),
        (RuleCounts(), HITS, 1, "ambiguous"),
        (HITS, RuleCounts(), 1, "ip"),
        (HITS, RuleCounts(), 2, "ambiguous"),
    ],
)
def test_verdict_follows_from_counts(within, beyond, min_hits, verdict):
    assert decide(within, beyond, min_hits) == verdict


def test_bound_is_three_n_over_n():
    assert (upper_bound(1000, 5_000), upper_bound(5_000, 5_000), upper_bound(0, 5)) == (15.0, 0.0, float("inf"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r.update(schema_version=2), "has schema version 2"),
        (lambda r: r.update(names_sha256="1" * 64), "its names are not those of names_sha256"),
        (lambda r: r["concepts"][0].update(verdict="oop"), "the verdict on rose hip does not follow"),
        (lambda r: r["concepts"][0]["within"].update(phrase=-1), "concept 1: within.phrase"),
        (lambda r: r["concepts"].append(r["concepts"][0]), "a name occurs twice"),
        (lambda r: r["counting"]["files"][0].update(sha256="x"), "file 1: sha256"),
        (lambda r: r.pop("concepts"), "concepts are missing"),
        (lambda r: r.update(kind="stated"), "a counted record, and no other"),
        (lambda r: r.update(extra=1), "extra"),
        (lambda r: r["concepts"][0]["within"].update(words=91), "90 captions cannot give the counts of rose hip"),
        (lambda r: r["concepts"][0]["within"].update(folded=0), "cannot give the counts of rose hip"),
        (lambda r: r["concepts"][0]["within"].update(longest=3), "cannot give the counts of rose hip"),
        (lambda r: r["concepts"][0]["beyond"].update(words=88), "cannot give the counts of rose hip"),
        (lambda r: r["concepts"][1].update(evidence=r["concepts"][0]["evidence"]), "cannot give the counts of [lL]öwe"),
        (
            lambda r: r["counting"]["files"][0].update(path="b.parquet"),
            "the evidence of rose hip is of no row of its files",
        ),
        (lambda r: r["counting"]["files"][0].update(rows=89), "file 1: .*more captions than rows"),
    ],
)
def test_damaged_record_is_refused_with_the_reason(record, change, reason):
    content = json.loads(record_content(record))
    change(content)
    with pytest.raises(DataError, match=reason):
        parse_corpus_record(json.dumps(content).encode(), "a.json")


def test_what_is_no_record_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_record(tmp_path / "missing.json")
    for content in (b"[]", b"{", b"\xff", b"{}"):
        with pytest.raises(DataError, match=r"a\.json is not a valid record of a corpus"):
            parse_corpus_record(content, "a.json")
