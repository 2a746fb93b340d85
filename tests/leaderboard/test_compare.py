"""Rows compared with each other and with the paper's: comparable ones are subtracted, others give the reason."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.leaderboard.assemble import assemble
from harness.leaderboard.compare import between, diff, with_published
from harness.leaderboard.differences import differences
from harness.leaderboard.published import FOLDER, published_tables
from harness.leaderboard.tables import Table
from harness.metrics.built_in import BUILT_IN
from harness.types.leaderboard import Leaderboard

from ..makers import make_cell, sha
from .results import Lab

ROOT = Path(__file__).resolve().parents[2]
NINE = ("Animals", "Architecture", "Attire", "FolkArt", "Food", "Insects_Spiders", "Landmark", "Plants_Fugi", "Pokemon")
REAL = {
    "dataset": {"name": "laion-beyond-400m"},
    "backbone": {"architecture": "ViT-B-16", "pretrained": "laion400m_e32", "corpus": "LAION-400M"},
}


def board(value: float = 0.5, domains: tuple[str, ...] = ("Animals", "Food"), **changes: Any) -> Leaderboard:
    def fresh() -> dict[str, Any]:  # makers take their dicts apart
        return {key: dict(inner) if isinstance(inner, dict) else inner for key, inner in changes.items()}

    return assemble([make_cell(value, domain=domain, **fresh()) for domain in domains])


# -- the paper's figures ---------------------------------------------------------------------------------------------


def test_the_published_rows_are_those_of_the_repository() -> None:
    ours, repository = (
        {path.name: path.read_bytes() for path in folder.glob("*.json")}
        for folder in (FOLDER, ROOT / "leaderboards" / "published")
    )
    assert ours == repository  # a link in a checkout, a copy in an installation
    tables = published_tables()
    assert [table.source.table for table in tables] == ["Table 1", "Table 2", "Table 3", "Table 4"]
    assert [len(table.rows) for table in tables] == [1, 6, 6, 6]
    figures = [v for t in tables for r in t.rows for stats in r.domains.values() for v in stats.values()]
    assert len(figures) == 18 + 6 * 27 + 6 * 9 + 3 * 9 + 3 * 4
    assert all(0 < value < 1 for value in figures)


def test_a_printed_average_that_is_not_the_domains_has_a_note_and_no_other() -> None:
    noted = set()
    for table in published_tables():
        for row in table.rows:
            assert set(row.domains) <= set(NINE)
            for metric, printed in row.mean.items():
                own = sum(stats[metric] for stats in row.domains.values()) / len(row.domains)
                notes = [note for note in row.notes if note.startswith(f"{metric}:")]
                assert bool(notes) == (abs(own - printed) > 1.01e-4), (row.printed_name, metric, own, printed)
                noted |= {(table.source.table, row.printed_name, metric) for _ in notes}
    assert noted == {
        ("Table 1", "OpenCLIP", "ip_cluster_acc"),
        ("Table 2", "CLIP-Adapter", "oop_top1"),
        ("Table 2", "FSNL", "h_mean"),
    }


def test_a_printed_harmonic_mean_that_is_not_that_of_the_printed_accuracies_has_a_note() -> None:
    noted = set()
    for row in published_tables()[1].rows:
        for domain, stats in row.domains.items():
            a, b = stats["oop_top1"], stats["ip_top1"]
            notes = [note for note in row.notes if note.startswith(f"h_mean of {domain}")]
            assert bool(notes) == (abs(2 * a * b / (a + b) - stats["h_mean"]) > 2e-4), (row.printed_name, domain)
            noted |= {(row.printed_name, domain) for _ in notes}
    assert noted == {("FSNL", "Pokemon")}


def test_the_papers_setting_is_subtracted() -> None:
    (table2, table3) = with_published(board(protocol="paper-2025", **REAL), published_tables())
    assert table2.reasons == table3.reasons == ()
    figures = table2.json()["figures"]["Animals"]["h_mean"]
    assert (figures["left"], figures["right"]) == (0.5, 0.4617)
    assert figures["difference"] == pytest.approx(0.0383)
    assert table2.json()["figures"]["Pokemon"]["h_mean"] == {"left": None, "right": 0.6887, "difference": None}
    assert "62.78" in table2.json()["notes"][0]


def test_means_over_different_domains_are_not_subtracted() -> None:
    (table2, _) = with_published(board(protocol="paper-2025", **REAL), published_tables())
    ((within, *_), _, _) = between(board(0.5), board(0.4))
    ((other, *_), _, _) = between(board(0.5, ("Food",)), board(0.4))
    for one in (table2, other):
        mean = one.json()["figures"]["mean"]["oop_top1"]
        assert (mean["left"], mean["difference"]) == (0.5, None)
        assert one.json()["figures"]["Food"]["oop_top1"]["difference"] is not None
        assert any("the means are over different domains" in note for note in one.notes)
    assert within.json()["figures"]["mean"]["oop_top1"]["difference"] == pytest.approx(0.1)
    assert within.notes == ()


def test_other_seeds_and_parameters_are_subtracted_and_said() -> None:
    ours = board(seed=3, method={"parameters": {"lr": 0.01, "tag": "a" * 64}})
    ((one,), _, _) = between(board(seed=1, method={"parameters": {"lr": 0.001, "tag": "b" * 64}}), ours)
    assert one.notes == (
        "other seeds: 1 in A; 3 in B",
        "other lr: 0.001 in A; 0.01 in B",
        f"other tag: {'b' * 12} in A; {'a' * 12} in B",
    )
    assert one.reasons == ()
    ((same,), _, _) = between(ours, ours)
    assert same.notes == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"protocol": "clean-v1", **REAL}, "other protocol: clean-v1 and paper-2025"),
        ({"protocol": "paper-2025", **REAL, "shots": 8}, "other shots: 8 and 4"),
        ({"protocol": "paper-2025", **REAL, "dataset": {"name": "mine"}}, "other data set: mine and laion-beyond-400m"),
        (
            {"protocol": "paper-2025", "dataset": {"name": "laion-beyond-400m"}},
            "other backbone: beyond-mini/beyond-mini and",
        ),
        ({}, "other data set: beyond-mini and laion-beyond-400m"),
    ],
)
def test_another_setting_says_why_and_is_not_subtracted(changes: dict[str, Any], reason: str) -> None:
    found = with_published(board(**changes), published_tables())
    assert len(found) == 2
    for one in found:
        assert any(reason in given for given in one.reasons), one.reasons
        stats = [s for place in one.json()["figures"].values() for s in place.values()]
        assert {s["difference"] for s in stats} == {None}


def test_other_shots_stand_there_only_where_none_are_the_same() -> None:
    several = Leaderboard(rows=tuple(row for shots in (1, 4, 16) for row in board(shots=shots).rows))
    assert {one.left.shots for one in with_published(several, published_tables())} == {4}
    few = Leaderboard(rows=tuple(row for shots in (1, 16) for row in board(shots=shots).rows))
    assert {one.left.shots for one in with_published(few, published_tables())} == {1, 16}


def test_one_table_of_two_corpora_says_which() -> None:
    found = with_published(
        board(method={"name": "transclip"}, shots=0, protocol="paper-2025", **REAL), published_tables()
    )
    assert [one.right.label for one in found] == ["Table 4 (LAION-400M)", "Table 4 (LAION-5B)"]
    assert found[0].reasons == ()
    assert "other pre-training corpus: LAION-400M and LAION-5B" in found[1].reasons


def test_a_printed_figure_of_another_kind_says_why_and_is_not_subtracted() -> None:
    found = with_published(board(method={"name": "zsnl"}, shots=0, protocol="paper-2025", **REAL), published_tables())
    assert len(found) == 2
    for one in found:
        assert one.reasons[0].startswith("another kind of figure: the only evaluator that was released for ZSNL")
        assert {s["difference"] for place in one.json()["figures"].values() for s in place.values()} == {None}
    kinds = {row.method for table in published_tables() for row in table.rows if row.other_kind}
    assert kinds == {"zsnl"}


@pytest.mark.parametrize(
    ("protocol", "reasons"),
    [("clustering-2025", ()), ("clustering", ("other protocol: clustering and clustering-2025",))],
)
def test_table_1_is_of_the_protocol_that_makes_it(protocol: str, reasons: tuple[str, ...]) -> None:
    ours = board(method={"name": "kmeans_naming"}, shots=0, protocol=protocol, **REAL)
    (one,) = [one for one in with_published(ours, published_tables()) if one.right.label == "Table 1"]
    assert one.reasons == reasons
    assert any("ImageNet" in note for note in one.notes)
    assert "ours are clusters of kmeans_naming" in one.notes


def test_a_method_that_the_paper_lacks_has_no_counterpart() -> None:
    assert with_published(board(method={"name": "mine"}), published_tables()) == []


# -- two leaderboards ------------------------------------------------------------------------------------------------


def test_rows_of_the_same_setting_are_subtracted_and_others_are_listed() -> None:
    a = Leaderboard(rows=(*board(0.5).rows, *board(0.3, method={"name": "coop"}).rows))
    b = Leaderboard(rows=(*board(0.7, versions={"torch": "9"}).rows, *board(method={"name": "taskres"}).rows))
    (pair,), only_a, only_b = between(a, b)
    assert pair.reasons == ()
    assert pair.json()["figures"]["mean"]["h_mean"]["difference"] == pytest.approx(-0.2)
    assert [row.method for row in only_a] == ["coop"]
    assert [row.method for row in only_b] == ["taskres"]


def test_other_data_or_weights_are_not_subtracted() -> None:
    for changes in ({"dataset": {"fingerprint": sha("new")}}, {"backbone": {"weights_sha256": sha("new")}}):
        (pair,), _, _ = between(board(), board(**changes))
        assert pair.reasons
        assert "sha256" in pair.reasons[0]


def test_a_leaderboard_does_not_differ_from_itself(shared_lab: Lab, harness: Any) -> None:
    assert diff(shared_lab.board, shared_lab.board) == {}
    assert harness("leaderboard", "diff", shared_lab.out, shared_lab.out)[:2] == (0, "no difference\n")


def test_every_difference_is_listed_and_the_exit_code_tells(lab: Lab, shared_lab: Lab, harness: Any) -> None:
    content = json.loads((lab.out / "leaderboard.json").read_text())
    row = next(r for r in content["rows"] if r["method"] == "fsnl")
    row["mean"]["h_mean"]["mean"] = 0.25
    row["versions"]["torch"] = "99"
    content["rows"] = [row]
    (lab.out / "leaderboard.json").write_text(json.dumps(content))
    code, out, _ = harness("leaderboard", "diff", shared_lab.out, lab.out, "--json")
    assert code == 3
    found = {title.partition("@")[0]: what for title, what in json.loads(out).items()}
    assert {d["where"]: d["after"] for d in found["fsnl"]} == {"mean.h_mean.mean": 0.25, "versions.torch": "99"}
    assert found["zero_shot"] == [{"where": "row", "before": "present", "after": "absent"}]


def test_metrics_stand_side_by_side_as_far_as_they_fit(lab: Lab, harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    parts = {}
    for width in (60, 100, 1000):
        monkeypatch.setenv("COLUMNS", str(width))
        code, out, _ = harness("leaderboard", "compare", lab.out, lab.out)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()
        assert code == 0
        assert {"oop_top1", "h_mean", "joint_top1", "ip_retention"} <= {*" ".join(lines).split()}
        assert max(map(len, lines)) <= width
        parts[width] = sum("domain" in line for line in lines)
        assert sum("Animals" in line for line in lines) == parts[width]
    assert parts[60] > parts[100] > parts[1000]


def test_the_command_sets_rows_beside_the_papers(lab: Lab, harness: Any) -> None:
    code, out, _ = harness("leaderboard", "compare", lab.out, "--published", "--json")
    assert code == 0
    assert {c["right"] for c in json.loads(out)["comparisons"]} == {
        "Table 2",
        "Table 3",
        "Table 4 (LAION-400M)",
        "Table 4 (LAION-5B)",
    }
    assert (
        "not comparable: other data set: small and laion-beyond-400m"
        in harness("leaderboard", "compare", lab.out, "--published")[1]
    )
    assert harness("leaderboard", "compare", lab.out)[0] == 2
    assert harness("leaderboard", "compare", lab.out, lab.out, "--json", "--latex")[0] == 2
    assert "exclude each other" in harness("leaderboard", "compare", lab.out, lab.out, "--published")[2]


# -- tables ----------------------------------------------------------------------------------------------------------


def test_what_comes_from_a_file_cannot_break_a_table() -> None:
    evil = r"a|b <img src=x> [x](y) `c` 50% & $d_1$ \end{tabular} #{e} ~^" + "\nnext"
    table = Table(evil, ("method", "x"), [(evil, "1.0")], 1, [evil])
    markdown = table.markdown().splitlines()
    (line,) = [one for one in markdown if one.endswith("| 1.0 |")]
    assert line.replace(r"\|", "").count("|") == 3
    assert r"\<img src=x\>" in line
    assert r"\[x\](y)" in line
    latex = table.latex()
    assert latex.count(r"\end{tabular}") == 1
    assert r"a$|$b $<$img src=x$>$ [x](y) `c` 50\% \& \$d\_1\$ \textbackslash{}end\{tabular\} \#\{e\}" in latex


def test_metrics_differ_in_name_heading_and_axis() -> None:
    metrics = BUILT_IN.values()
    for words in ("name", "heading", "axis"):
        assert len({getattr(metric, words) for metric in metrics}) == len(metrics), words


def test_latex_of_a_wide_table_spans_both_columns() -> None:
    columns = ("method", *(f"domain {n}" for n in range(9)))
    wide = Table("t", columns, [("a", *("99.9",) * 9)], 1)
    assert wide.latex().startswith("\\begin{table*}")
    assert wide.latex().endswith("\\end{table*}\n")
    assert wide.parts(40)[0].latex().startswith("\\begin{table}")


def test_latex_takes_every_cell_for_what_it_is() -> None:
    latex = (
        Table("t", ("a", "b ✓"), [("[x]", "-1.5 [-2.0, +1.0]"), ("*", "-"), ("x-3", "1e-05")], 1).latex().splitlines()
    )
    assert latex[3:9] == [
        r"\toprule",
        r"a & b $\surd$ \\",
        r"\midrule",
        r"{[x]} & $-$1.5 [$-$2.0, +1.0] \\",  # after the end of a row a bracket would be its option
        r"{*} & -- \\",
        r"x-3 & 1e-05 \\",
    ]


def test_differences_are_listed_by_place_in_the_order_of_the_keys() -> None:
    before = {"g": 1, "f": [1, {"x": 0.1}], "e": [1], "d": None, "c": 1, "b": True, "a": "same", "gone": {"deep": 1}}
    after = {"g": 1.0, "f": [1, {"x": 0.2}], "e": [1, 2], "d": 0, "c": 1, "b": 1, "a": "same", "new": [1]}
    assert [tuple(found) for found in differences(before, after)] == [
        ("b", True, 1),
        ("d", None, 0),
        ("e", [1], [1, 2]),
        ("f[1].x", 0.1, 0.2),
        ("g", 1, 1.0),
        ("gone", {"deep": 1}, "absent"),
        ("new", "absent", [1]),
    ]
    assert not list(differences(before, before))
