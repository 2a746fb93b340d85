"""Facts about names in the corpus of a row's backbone: where they come from, and that they are verified."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.corpus.counts import RuleCounts
from harness.corpus.record import (
    CaptionFile,
    ConceptVerdict,
    CorpusRecord,
    Counting,
    names_digest,
    record_content,
    stated,
)
from harness.corpus.released import released_record
from harness.leaderboard.by_frequency import ConceptAccuracy, concept_accuracies, frequency_bins, frequency_fit
from harness.leaderboard.pretraining import PretrainingFinder, absent_names
from harness.leaderboard.update import update_leaderboard
from harness.results.artifacts import open_file
from harness.results.leaderboard_file import read_board
from harness.results.store import ResultStore
from harness.types.leaderboard import Leaderboard, Row
from harness.verification.verify import verify

from .results import Lab


def counted(counts: Mapping[str, int], corpus: str = "beyond-mini", captions: int = 10**15) -> CorpusRecord:
    """A record in which every rule counts the same captions, of ``captions`` that were read."""
    concepts = tuple(
        ConceptVerdict(
            name=name,
            verdict="ip" if n else "oop",
            within=RuleCounts(phrase=n, folded=n, synonyms=n, longest=n, words=n),
            beyond=RuleCounts(),
        )
        for name, n in counts.items()
    )
    return CorpusRecord(
        corpus=corpus,
        kind="counted",
        names_sha256=names_digest(dict.fromkeys(counts, ())),
        counting=Counting(
            context_length=77,
            min_hits=1,
            evidence_per_concept=0,
            files=(CaptionFile(path="captions.txt", bytes=1, sha256="0" * 64, rows=captions, captions=captions),),
        ),
        concepts=concepts,
    )


def names(lab: Lab, side: str, domain: str = "Animals") -> tuple[str, ...]:
    return lab.domains[domain].sheet.sides[side].names


def annotate(lab: Lab, *records: CorpusRecord) -> Leaderboard:
    """Store records in the results folder, and write the leaderboard again."""
    store = ResultStore(lab.out)
    for record in records:
        store.put_corpus_record(record)
    board = PretrainingFinder.of_folder(lab.out).added_to_all(lab.board)
    (lab.out / "leaderboard.json").write_text(board.text())
    return board


def fsnl(board: Leaderboard) -> Row:
    return next(row for row in board.rows if row.method == "fsnl")


def test_row_has_verdicts_counts_and_the_accuracy_on_absent_names(lab: Lab) -> None:
    oop, ip = names(lab, "oop"), names(lab, "ip")
    counts = {name: 7 * position for position, name in enumerate((*oop, *ip))}
    row = fsnl(annotate(lab, counted(counts)))
    facts = row.data["Animals"].pretraining
    assert facts is not None
    assert facts.verdicts["oop"] == ("oop", *["ip"] * (len(oop) - 1))
    assert facts.captions["ip"] == tuple(counts[name] for name in ip)
    assert facts.absent_top1 == row.per_class["Animals"]["oop"][0]
    assert absent_names(row).absent == 1


def test_accuracy_on_absent_names_is_the_domains_accuracy_if_all_are_absent(lab: Lab) -> None:
    every = [name for domain in lab.domains for name in names(lab, "oop", domain)]
    row = fsnl(annotate(lab, counted(dict.fromkeys(every, 0))))
    for domain, data in row.data.items():
        assert data.pretraining is not None
        assert data.pretraining.absent_top1 == pytest.approx(row.domains[domain]["oop_top1"].mean, abs=1e-12)
    assert absent_names(row).top1 == pytest.approx(row.mean["oop_top1"].mean, abs=1e-12)


def test_names_are_found_in_another_unicode_form_and_case(lab: Lab) -> None:
    row, sheet = fsnl(lab.board), lab.domains["Animals"].sheet
    side = sheet.sides["oop"].model_copy(update={"names": ("caf\u00e9", *names(lab, "oop")[1:])})
    sheets = {row.data["Animals"].fingerprint: sheet.model_copy(update={"sides": {**sheet.sides, "oop": side}})}
    facts = PretrainingFinder({"a" * 64: counted({"CAFE\u0301.": 3})}, sheets).added_to(row).data["Animals"].pretraining
    assert facts is not None
    assert facts.captions["oop"][0] == 3


def test_row_without_a_record_of_its_corpus_says_so(lab: Lab) -> None:
    row = fsnl(annotate(lab, counted(dict.fromkeys(names(lab, "oop"), 0), corpus="LAION-2B")))
    assert all(data.pretraining is None for data in row.data.values())
    assert absent_names(row).text == "no record of the corpus"


def test_counted_record_is_taken_before_a_stated_one_and_then_the_one_that_knows_more(lab: Lab) -> None:
    oop = names(lab, "oop")
    lists = stated("beyond-mini", "somebody", dict.fromkeys((*oop, *names(lab, "ip")), "oop"))
    few, more = counted({oop[0]: 3}), counted(dict.fromkeys(oop, 5))
    facts = fsnl(annotate(lab, lists, few, more)).data["Animals"].pretraining
    assert facts is not None
    assert (facts.kind, facts.captions["oop"]) == ("counted", (5,) * len(oop))
    facts = fsnl(annotate(lab, few)).data["Animals"].pretraining
    assert facts is not None


def test_of_two_counts_that_of_most_captions_is_taken(lab: Lab) -> None:
    oop = names(lab, "oop")
    for part, whole in ((100, 900), (101, 901), (102, 902)):  # whatever the order of their sha256
        records = counted(dict.fromkeys(oop, 0), captions=part), counted(dict.fromkeys(oop, 5), captions=whole)
        sheets = {data.sheet.fingerprint: data.sheet for data in lab.domains.values()}
        finder = PretrainingFinder(dict(zip(("0" * 64, "1" * 64), records, strict=True)), sheets)
        facts = fsnl(finder.added_to_all(lab.board)).data["Animals"].pretraining
        assert facts is not None
        assert facts.captions["oop"] == (5,) * len(oop)


def test_domains_that_no_record_knows_are_told(lab: Lab) -> None:
    oop = names(lab, "oop")
    row = fsnl(annotate(lab, counted(dict.fromkeys(oop, 0))))
    without = f"no record of {len(row.data) - 1} of {len(row.data)} domains"
    assert absent_names(row).text == f"{len(oop)} of {len(oop)} (counted in {10**15:,} captions; {without})"


def test_released_lists_are_a_stated_record_of_their_corpus_alone() -> None:
    record = released_record("laion-beyond-400m", {"oop": ("a", "both"), "ip": ("b", "both")})
    assert record is not None
    assert (record.corpus, record.kind) == ("LAION-400M", "stated")
    assert {c.name: c.verdict for c in record.concepts} == {"a": "oop", "b": "ip", "both": "ambiguous"}
    assert released_record("my-data", {"oop": ("a",)}) is None


@pytest.mark.parametrize("change", ["verdict", "count", "accuracy", "removed", "missing"])
def test_changed_facts_are_not_verified(lab: Lab, change: str) -> None:
    record = counted(dict.fromkeys(names(lab, "oop"), 3))
    annotate(lab, record)
    board, artifacts = open_file(lab.out / "leaderboard.json")
    assert verify(fsnl(board), artifacts).status == "verified"
    content = json.loads((lab.out / "leaderboard.json").read_text())
    for row in content["rows"]:
        facts = row["data"]["Animals"]["pretraining"]
        if change == "verdict":
            facts["verdicts"]["oop"][0] = "oop"
        elif change == "count":
            facts["captions"]["oop"][0] = 0
        elif change == "accuracy":
            facts["absent_top1"] = 1.0
    (lab.out / "leaderboard.json").write_text(json.dumps(content))
    stored = next((lab.out / "corpora").iterdir())
    if change == "removed":
        stored.unlink()
    elif change == "missing":
        stored.write_bytes(record_content(counted({"other": 1})))
    board, artifacts = open_file(lab.out / "leaderboard.json")
    assert verify(fsnl(board), artifacts).status == (
        "not verifiable" if change in ("removed", "missing") else "differs"
    )


def test_submission_has_the_record(lab: Lab, harness, tmp_path: Path) -> None:
    annotate(lab, counted(dict.fromkeys(names(lab, "oop"), 3)))
    assert harness("leaderboard", "submit", f"{lab.out}#fsnl", "--out", tmp_path / "s.zip")[0] == 0
    board, artifacts = open_file(tmp_path / "s.zip")
    assert verify(board.rows[0], artifacts).status == "verified"


def test_bins_are_powers_of_ten_with_one_for_absent_concepts() -> None:
    points = [
        ConceptAccuracy("A", "oop", n, a) for n, a in ((0, 0.1), (0, 0.3), (1, 0.5), (9, 0.7), (10, 0.9), (150, 1))
    ]
    assert [(b.text, b.concepts, round(b.accuracy, 6)) for b in frequency_bins(points)] == [
        ("0", 2, 0.2),
        ("1-9", 2, 0.6),
        ("10-99", 1, 0.9),
        ("100-999", 1, 1.0),
    ]


def test_fit_finds_a_line_and_leaves_absent_concepts_out() -> None:
    points = [ConceptAccuracy("A", "ip", 10**n, 0.1 + 0.2 * n) for n in range(4)]
    fit = frequency_fit([*points, ConceptAccuracy("A", "oop", 0, 0.9)])
    assert fit is not None
    assert (fit.slope, fit.intercept, fit.correlation) == pytest.approx((0.2, 0.1, 1.0))
    assert frequency_fit(points[:2]) is None
    assert frequency_fit([ConceptAccuracy("A", "ip", 10, a) for a in (0.1, 0.2, 0.3)]) is None


def test_concepts_of_a_row_have_count_and_accuracy(lab: Lab) -> None:
    oop = names(lab, "oop")
    row = fsnl(annotate(lab, counted({name: position for position, name in enumerate(oop)})))
    found = [concept for concept in concept_accuracies(row) if concept.domain == "Animals"]
    assert [concept.captions for concept in found] == list(range(len(oop)))
    assert [concept.accuracy for concept in found] == list(row.per_class["Animals"]["oop"])


def test_figure_shows_concepts_with_counts(lab: Lab, harness, tmp_path: Path) -> None:
    every = [name for domain in lab.domains for side in ("oop", "ip") for name in names(lab, side, domain)]
    assert "no row has counts" in harness("plot", "frequency", lab.out, "--out", tmp_path / "f.svg")[2]
    annotate(lab, counted({name: 3**position for position, name in enumerate(every)}))
    assert harness("plot", "frequency", lab.out, "--out", tmp_path / "f.svg")[0] == 0
    figure = (tmp_path / "f.svg").read_text()
    assert "points per decade" in figure
    assert f">fsnl, {fsnl(lab.board).shots} shot" in figure
    assert figure.count("PathCollection") >= 4


def test_update_adds_the_facts_of_a_new_record_to_rows_that_exist(lab: Lab) -> None:
    store = ResultStore(lab.out)
    update_leaderboard(store)
    assert all(data.pretraining is None for row in read_board(lab.out).rows for data in row.data.values())
    store.put_corpus_record(counted(dict.fromkeys(names(lab, "oop"), 3)))
    update_leaderboard(store)
    assert all(row.data["Animals"].pretraining is not None for row in read_board(lab.out).rows)
    before = (lab.out / "leaderboard.json").read_bytes()
    (lab.out / "index.json").unlink()
    update_leaderboard(store)
    assert (lab.out / "leaderboard.json").read_bytes() == before


def test_show_by_frequency_prints_bins(lab: Lab, harness) -> None:
    assert "no row has counts" in harness("leaderboard", "show", lab.out, "--by-frequency")[2]
    oop = names(lab, "oop")
    annotate(lab, counted({name: position for position, name in enumerate(oop)}))
    code, out, _ = harness("leaderboard", "show", lab.out, "--by-frequency", "--json")
    assert code == 0
    row = fsnl(lab.board)
    (shown,) = [one for one in json.loads(out) if one["method"] == "fsnl"]
    assert [one["concepts"] for one in shown["bins"]] == [1, len(oop) - 1]
    assert shown["bins"][0]["accuracy"] == row.per_class["Animals"]["oop"][0]
    assert "per decade" in harness("leaderboard", "show", lab.out, "--by-frequency")[1]
    assert "\\begin{tabular}" in harness("leaderboard", "show", lab.out, "--by-frequency", "--latex", "ranks")[1]
    assert "exclude each other" in harness("leaderboard", "show", lab.out, "--by-frequency", "--csv")[2]
