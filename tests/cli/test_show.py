"""``harness leaderboard show``: selections, forms for spreadsheets and papers, and a packed leaderboard."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet
import pytest

from harness.results.archive import PACKED
from harness.results.leaderboard_file import BOARD
from harness.types.leaderboard import Leaderboard


def tables(harness, *words: object) -> list[dict]:
    code, out, err = harness("leaderboard", "show", *words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_methods_and_shots_select_rows_and_the_baseline_stays(shared_lab, harness) -> None:
    def methods(*words: object) -> list[list[str]]:
        return [sorted(row["method"] for row in one["rows"]) for one in tables(harness, shared_lab.out, *words)]

    assert methods() == [["fsnl", "zero_shot"]]
    assert methods("--method", "fsnl") == methods("--methods", "fsnl", "--shots", "2") == [["fsnl"]]
    assert methods("--method", "fsnl", "--baseline", "zero_shot") == [["fsnl", "zero_shot"]]


def test_the_folder_results_is_shown_if_none_is_named(shared_lab, harness, monkeypatch) -> None:
    monkeypatch.chdir(shared_lab.out.parent)
    assert shared_lab.out.name == "results"
    assert tables(harness) == tables(harness, shared_lab.out)


def test_one_domain_is_ranked_and_tested_on_its_own_images(shared_lab, harness) -> None:
    domain = next(iter(shared_lab.domains))
    (whole,) = tables(harness, shared_lab.out, "--baseline", "zero_shot")
    (one,) = tables(harness, shared_lab.out, "--baseline", "zero_shot", "--domain", domain)
    assert (whole["ranked_by"], one["ranked_by"]) == ("mean", domain)
    means = {row["method"]: row["domains"][domain]["mean"] for row in one["rows"]}
    (fsnl,) = (row for row in one["rows"] if row["method"] == "fsnl")
    assert fsnl["baseline"]["difference"] == pytest.approx(means["fsnl"] - means["zero_shot"])
    _, out, _ = harness("leaderboard", "show", shared_lab.out, "--domain", domain)
    assert f"percent; {domain}, mean over seeds" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--method", "fsln"], "did you mean fsnl?"),
        (["--shots", "16"], "no row has 16 shots"),
        (["--domain", "Nowhere"], "no domain in these files named 'Nowhere'"),
        (["--domain", "Nowhere", "--csv"], "no domain in these files named 'Nowhere'"),
        (["--csv", "--latex", "table2"], "exclude each other"),
        (["--parquet", "x.parquet", "--json"], "exclude each other"),
        (["--latex", "table7"], "'table7' is not one of"),
    ],
)
def test_a_wrong_selection_is_a_sentence(shared_lab, harness, words: list[str], sentence: str) -> None:
    code, _, err = harness("leaderboard", "show", shared_lab.out, *words)
    assert (code, sentence in err) == (2, True), err


def test_a_margin_adds_the_test_for_equivalence(shared_lab, harness) -> None:
    (table,) = tables(harness, shared_lab.out, "--baseline", "zero_shot", "--margin", "99")
    fsnl = next(row for row in table["rows"] if row["method"] == "fsnl")["baseline"]
    assert fsnl["p_equivalent"] == fsnl["p_equivalent_holm"] == pytest.approx(1 / 2001)
    (plain,) = tables(harness, shared_lab.out, "--baseline", "zero_shot")
    assert all(row["baseline"]["p_equivalent"] is None for row in plain["rows"])
    shown = harness("leaderboard", "show", shared_lab.out, "--baseline", "zero_shot", "--margin", "99", "--markdown")[1]
    assert "below 0.05 the rows are equal within 99 points" in shown


def test_power_tells_how_many_seeds_images_and_domains_are_needed(shared_lab, harness) -> None:
    (table,) = json.loads(harness("leaderboard", "power", shared_lab.out, "--difference", "5", "--json")[1])
    assert table["baseline"] == "fsnl"  # the best
    (row,) = table["rows"]
    assert row["method"] == "zero_shot"
    assert row["measured"]["seeds"] == 3
    assert row["detects"] > 0.05  # a few images do not distinguish 5 points
    assert row["needed"]["domains"] > row["measured"]["domains"]
    shown = harness("leaderboard", "power", shared_lab.out, "--difference", "5", "--markdown")[1]
    assert f"| zero\\_shot | {100 * row['test']['difference']:+.1f} |" in shown
    assert "measured: 3 seeds" in shown


def test_csv_and_parquet_have_every_row_domain_and_metric(shared_lab, harness, tmp_path: Path) -> None:
    code, out, _ = harness("leaderboard", "show", shared_lab.out, "--csv")
    assert code == 0
    lines = list(csv.DictReader(io.StringIO(out)))
    file = tmp_path / "new" / "board.parquet"
    assert harness("leaderboard", "show", shared_lab.out, "--parquet", file)[0] == 0
    table = pyarrow.parquet.read_table(file).to_pylist()
    assert len(lines) == len(table) == 2 * len(shared_lab.domains)
    rows = {row.id: row for row in shared_lab.board.rows}
    for line, record in zip(lines, table, strict=True):
        row = rows[line["row"]]
        stat = row.domains[line["domain"]]["h_mean"]
        assert (float(line["h_mean"]), float(line["h_mean_std"])) == (stat.mean, stat.std)
        assert (record["h_mean"], record["row"], record["shots"]) == (stat.mean, row.id, row.shots)
        assert record["seeds"] == [int(seed) for seed in line["seeds"].split()] == list(row.seeds)


def test_table2_has_three_columns_a_domain_and_marks_the_best(shared_lab, harness) -> None:
    code, out, _ = harness("leaderboard", "show", shared_lab.out, "--latex", "table2")
    assert code == 0
    lines = out.splitlines()
    assert out.count(r"\multicolumn{3}{c}") == 1 + len(shared_lab.domains)
    assert {r"\toprule", r"\bottomrule", r"\end{table*}"} <= set(lines)
    assert any(line.startswith(r"\label{tab:") for line in lines)
    first = next(line for line in lines if line.startswith("OpenCLIP &"))
    second = next(line for line in lines if line.startswith("FSNL &"))
    assert first.count("&") == second.count("&") == 3 * (1 + len(shared_lab.domains))
    assert second.split("&")[1].strip().startswith(r"\textbf{")
    assert first.split("&")[1].strip().startswith(r"\underline{")


def test_what_all_rows_lack_is_said_once(shared_lab, harness, tmp_path: Path) -> None:
    (tmp_path / "board.json").write_text((shared_lab.out / BOARD).read_text())
    _, out, _ = harness("leaderboard", "show", tmp_path / "board.json")
    assert [line for line in out.splitlines() if "missing: there is no" in line] == [
        line for line in out.splitlines() if line.startswith("all rows have no interval: labels")
    ]
    assert out.count("missing: there is no") == 1


def test_a_packed_leaderboard_is_shown_and_verified_like_its_folder(shared_lab, harness, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    code, out, err = harness("leaderboard", "pack", shared_lab.out, "--out", packed)
    assert code == 0, err
    assert "2 rows and all that verifies them" in out
    assert {path.name for path in packed.iterdir()} == {BOARD, PACKED, "costs.json"}
    assert tables(harness, packed) == tables(harness, shared_lab.out)
    assert harness("leaderboard", "verify", packed, "--no-mark")[0] == 0
    first = (packed / PACKED).read_bytes()
    harness("leaderboard", "pack", packed, "--out", tmp_path / "again")
    assert (tmp_path / "again" / PACKED).read_bytes() == first


def test_a_damaged_archive_and_missing_artifacts_are_sentences(lab, harness, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    harness("leaderboard", "pack", lab.out, "--out", packed)
    (packed / PACKED).write_bytes((packed / PACKED).read_bytes()[:-40])
    code, _, err = harness("leaderboard", "show", packed)
    assert (code, "is a damaged archive" in err) == (2, True), err
    next((lab.out / "labels").iterdir()).unlink()
    code, _, err = harness("leaderboard", "pack", lab.out, "--out", packed)
    assert (code, "cannot be packed: labels" in err) == (2, True), err


def test_row_ids_are_in_the_file(shared_lab) -> None:
    content = json.loads((shared_lab.out / BOARD).read_text())
    assert [row["id"] for row in content["rows"]] == [row.id for row in shared_lab.board.rows]


def test_an_address_shows_one_row_as_other_commands_take_it(lab, harness) -> None:
    (table,) = tables(harness, f"{lab.out}#fsnl@2")
    assert [row["method"] for row in table["rows"]] == ["fsnl"]
    code, _, err = harness("leaderboard", "show", f"{lab.out}#fsnl@16")
    assert code == 2
    assert "has no row 'fsnl@16'" in err
    assert "fsnl@2" in err


def test_the_hint_for_an_ambiguous_address_names_the_parameters_that_differ(lab, harness) -> None:
    fsnl = lab.row("fsnl")
    records = [fsnl.method_record.model_copy(update={"parameters": {"epochs": 3, "lr": lr}}) for lr in (0.1, 0.2)]
    rows = tuple(fsnl.model_copy(update={"method_record": record}) for record in records)
    (lab.out / BOARD).write_text(Leaderboard(rows=rows).text())
    code, _, err = harness("leaderboard", "show", f"{lab.out}#fsnl")
    assert code == 2
    assert "'fsnl' means 2 rows" in err
    assert "(fsnl@2, clean-v1, lr=0.1)" in err
    assert "(fsnl@2, clean-v1, lr=0.2)" in err
    assert "epochs" not in err


@pytest.mark.parametrize("command", [["leaderboard", "show", "--by-frequency"], ["plot", "frequency"]])
def test_without_counts_the_hint_names_the_corpus_and_the_option_of_its_record(lab, harness, command) -> None:
    record = lab.row("fsnl").backbone_record.model_copy(update={"corpus": "beyond-mini"})
    (lab.out / BOARD).write_text(
        Leaderboard(rows=(lab.row("fsnl").model_copy(update={"backbone_record": record}),)).text()
    )
    code, _, err = harness(*command, lab.out)
    assert code == 2
    assert "--corpus beyond-mini" in err
    assert "--corpus-record record.json" in err
