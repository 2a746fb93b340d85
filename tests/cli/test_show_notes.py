"""The notes below the tables of ``leaderboard show``: incomplete rows, no IP figures, narrow terminals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.results.leaderboard_file import BOARD
from harness.types.leaderboard import Leaderboard, Row, RowFailure

from ..leaderboard.results import METHODS, Answering, run
from .test_run_report import plain, terminal


def missing(domain: str, seed: int) -> RowFailure:
    return RowFailure(domain=domain, seed=seed, kind="missing", reason="not run")


def incomplete(row: Row, places: list[tuple[str, int]]) -> Row:
    failures = tuple(missing(domain, seed) for domain, seed in places)
    return row.model_copy(update={"failures": failures, "complete": False, "mean": {}})


def test_missing_cells_of_a_row_are_one_line_and_the_next_command(lab, harness) -> None:
    places = [(f"Domain{n}", seed) for n in range(5) for seed in (1, 2, 3)]
    (lab.out / BOARD).write_text(Leaderboard(rows=(incomplete(lab.row("fsnl"), places),)).text())
    _, out, _ = harness("leaderboard", "show", lab.out)
    assert [line for line in out.splitlines() if "not run" in line] == [
        "fsnl, 15 cells of Domain0, Domain1, Domain2 and 2 more domains: missing: not run"
    ]
    assert "next: `harness evaluate --plugin fsnl --seeds 1,2,3`, with the other options of that run" in out


def test_notes_of_one_domain_are_of_its_cells_only(lab, harness) -> None:
    shown, other = list(lab.domains)[:2]
    (lab.out / BOARD).write_text(Leaderboard(rows=(incomplete(lab.row("fsnl"), [(other, 1)]),)).text())
    assert "missing" in harness("leaderboard", "show", lab.out)[1]
    assert "missing" not in harness("leaderboard", "show", lab.out, "--domain", shown)[1]


def test_a_row_without_ip_figures_says_why(lab, harness, tmp_path: Path) -> None:
    run(tmp_path / "both", lab.domains, [Answering("prototypes", 0.8, only_oop=True), *METHODS])
    _, out, _ = harness("leaderboard", "show", tmp_path / "both")
    assert "prototypes has only OOP figures: it knows the OOP names only" in out


@pytest.mark.parametrize("columns", [60, 40])
def test_a_narrow_terminal_breaks_notes_between_words_and_keeps_row_ids(
    lab, harness, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    terminal(monkeypatch, columns)
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = plain(harness("leaderboard", "show", lab.out)[1]).splitlines()
    assert max(map(len, lines)) <= columns
    assert "rank: one more than the rows that are surely better" in " ".join(lines)
    for row in lab.board.rows:
        assert any(re.search(rf"\b{row.id[:6]}\b", line) for line in lines if "│" in line)
