"""The tables at the end of a run and of ``leaderboard show``: rows of one method are told apart by what differs."""

from __future__ import annotations

import re

import pytest

from harness.cli import run_report
from harness.datasets.layout import short_name
from harness.leaderboard.tables import percent, signed
from harness.metrics.accuracy import difference
from harness.metrics.table import summary_metrics
from harness.results.leaderboard_file import BOARD
from harness.runner.request import Outcome
from harness.types.leaderboard import Leaderboard, Row, RowFailure, Stat


def with_parameters(row: Row, failures: tuple[RowFailure, ...] = (), **values: object) -> Row:
    record = row.method_record.model_copy(update={"parameters": {"epochs": 3, **values}})
    return row.model_copy(update={"method_record": record, "failures": failures})


@pytest.fixture
def board(lab) -> Leaderboard:
    failed = (RowFailure(domain="Animals", seed=1, kind="error", reason="it broke"),)
    rows = (with_parameters(lab.row("fsnl"), lr=0.1), with_parameters(lab.row("fsnl"), failed, lr=0.2))
    board = Leaderboard(rows=(lab.row("zero_shot"), *rows))
    (lab.out / BOARD).write_text(board.text())
    return board


def terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def outcome(board: Leaderboard, lab) -> Outcome:
    return Outcome(board, lab.out / BOARD, 3, 0, {})


def test_a_narrow_terminal_cuts_no_figure_and_no_domain(board, lab, capsys, monkeypatch) -> None:
    terminal(monkeypatch, 40)
    monkeypatch.setattr(run_report, "_percent", lambda stat: "77.7 ±11.1")
    run_report.show(outcome(board, lab), json=False, per_domain=True)
    tables = [line for line in plain(capsys.readouterr().out).splitlines() if line.startswith(("│", "┃"))]
    assert max(map(len, tables)) <= 40
    figures = sum(len(summary_metrics(row.metrics)) * (len(row.domains) + 1) for row in board.rows)
    assert sum(line.count(" 77.7 ±11.1 ") for line in tables) == figures
    for domain in lab.domains:
        assert any(f"│ {short_name(domain)} " in line for line in tables)


@pytest.mark.parametrize("columns", [200, 40])
def test_rows_of_one_method_differ_by_their_parameters(board, lab, capsys, monkeypatch, columns) -> None:
    terminal(monkeypatch, columns)
    run_report.show(outcome(board, lab), json=False, per_domain=False)
    out, err = capsys.readouterr()
    assert out.count("fsnl (lr=0.1)") == out.count("fsnl (lr=0.2)") >= 1
    assert "epochs" not in out, "they share it"
    assert "error: fsnl (lr=0.2), 2 shots, Animals, seed 1: it broke" in err


def test_figures_of_domains_are_shown_where_they_fit_or_are_asked_for(board, lab, capsys, monkeypatch) -> None:
    shown = {}
    for columns, per_domain in ((200, False), (60, False), (60, True)):
        terminal(monkeypatch, columns)
        run_report.show(outcome(board, lab), json=False, per_domain=per_domain)
        shown[columns, per_domain] = "Animals" in capsys.readouterr().out
    assert shown == {(200, False): True, (60, False): False, (60, True): True}


def test_summary_has_means_differences_to_zero_shot_and_the_domains_that_are_whole(board, lab, capsys) -> None:
    run_report.show(outcome(board, lab), json=False, per_domain=False)
    summary = capsys.readouterr().out.split("percent, mean over domains")[0]
    lines = [[cell.strip() for cell in line.strip("│ \n").split("│")] for line in summary.splitlines() if "│" in line]
    rows = {cells[0]: cells[1:] for cells in lines}
    fsnl, zero_shot = board.rows[1], board.rows[0]
    less = signed(difference(fsnl.mean["h_mean"].mean, zero_shot.mean["h_mean"].mean))
    assert rows["fsnl (lr=0.1)"][-2:] == [less, "3 of 3"]
    assert rows["fsnl (lr=0.2)"][-1] == "2 of 3"
    assert rows["zero_shot"][-2] == "-"
    assert rows["zero_shot"][0] == percent(zero_shot.mean["oop_top1"].mean), "no deviation: it is run once"


def test_the_best_mean_of_a_column_is_bold(board, lab, capsys, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal(monkeypatch, 200)
    run_report.show(outcome(board, lab), json=False, per_domain=False)
    best = max(percent(row.mean["h_mean"].mean) for row in board.rows if "h_mean" in row.mean)
    assert re.search(rf"\x1b\[1m[^\x1b]*{re.escape(best)}", capsys.readouterr().out)


def test_a_deviation_that_is_not_zero_never_reads_as_zero() -> None:
    assert run_report._percent(Stat(mean=0.5, std=0.0001, n=3)) == "50.0 ±0.01"
    assert run_report._percent(Stat(mean=0.5, std=0.0, n=3)) == "50.0"
    assert run_report._percent(Stat(mean=0.5, std=0.02, n=3)) == "50.0 ±2.0"


def test_commands_to_try_next_are_those_that_exist(board, lab, capsys) -> None:
    run_report.show(outcome(board, lab), json=False, per_domain=False)
    err = capsys.readouterr().err
    assert f"harness leaderboard show {lab.out} --baseline zero_shot" in err
    assert "plot shots" not in err, "there is one number of shots"


def test_show_says_what_differs_below_the_table(board, lab, harness) -> None:
    code, out, _ = harness("leaderboard", "show", lab.out)
    assert code == 0
    for row, label in ((board.rows[1], "fsnl (lr=0.1)"), (board.rows[2], "fsnl (lr=0.2)")):
        assert f"fsnl {row.id[:6]}: {label}" in out.splitlines()
    assert not [line for line in out.splitlines() if line.startswith("zero_shot")]
