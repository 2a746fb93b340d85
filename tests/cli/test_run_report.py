"""The tables at the end of a run and of ``leaderboard show``: rows of one method are told apart by what differs."""

from __future__ import annotations

import re

import pytest

from harness.cli import run_report
from harness.results.leaderboard_file import BOARD
from harness.runner.request import Outcome
from harness.types.leaderboard import Leaderboard, Row, RowFailure


def with_parameters(row: Row, failures: tuple[RowFailure, ...] = (), **values: object) -> Row:
    record = row.method_record.model_copy(update={"parameters": {"epochs": 3, **values}})
    return row.model_copy(update={"method_record": record, "failures": failures})


@pytest.fixture
def board(lab) -> Leaderboard:
    failed = (RowFailure(domain="Food", seed=1, kind="error", reason="it broke"),)
    rows = (with_parameters(lab.row("fsnl"), lr=0.1), with_parameters(lab.row("fsnl"), failed, lr=0.2))
    board = Leaderboard(rows=(lab.row("zero_shot"), *rows))
    (lab.out / BOARD).write_text(board.text())
    return board


def test_a_narrow_terminal_cuts_no_figure_and_no_domain(board, lab, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(run_report, "_percent", lambda stat: "77.7 ±11.1")
    run_report.show(Outcome(board, lab.out / BOARD, 3, 0, {}), json=False)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    tables = [line for line in plain.splitlines() if line.startswith(("│", "┃"))]
    assert max(map(len, tables)) <= 40
    figures = sum(len(run_report._shown(row)) * (len(row.domains) + 1) for row in board.rows)
    assert sum(line.count(" 77.7 ±11.1 ") for line in tables) == figures
    for domain in lab.domains:
        assert any(f"│ {domain} " in line for line in tables)


@pytest.mark.parametrize("columns", ["200", "40"])
def test_rows_of_one_method_differ_by_their_parameters(board, lab, capsys, monkeypatch, columns) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    run_report.show(Outcome(board, lab.out / BOARD, 3, 0, {}), json=False)
    out, err = capsys.readouterr()
    assert out.count("fsnl (lr=0.1)") == out.count("fsnl (lr=0.2)") == 1
    assert out.count("zero_shot") == 1
    assert "epochs" not in out, "they share it"
    assert "error: fsnl (lr=0.2), 2 shots, Food, seed 1: it broke" in err


def test_show_says_what_differs_below_the_table(board, lab, harness) -> None:
    code, out, _ = harness("leaderboard", "show", lab.out)
    assert code == 0
    for row, label in ((board.rows[1], "fsnl (lr=0.1)"), (board.rows[2], "fsnl (lr=0.2)")):
        assert f"fsnl {row.id[:6]}: {label}" in out.splitlines()
    assert not [line for line in out.splitlines() if line.startswith("zero_shot")]
