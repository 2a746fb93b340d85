"""Progress on a terminal and in a log: what is done, what runs, and figures as they come."""

from __future__ import annotations

import pytest

from harness.cli import console, display


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> display.StageProgress:
    """A stage that is 30 seconds old, and a third done."""
    now = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    made = display.StageProgress("running cells", 90, "cells")
    now[0] += 30
    made.advance(30)
    return made


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_a_line_fits_the_terminal_or_has_no_bar(stage: display.StageProgress, width: int) -> None:
    line = stage.line(width)
    assert line.startswith("running cells  ")
    assert "30 of 90 cells" in line
    assert len(line) <= max(width, len("running cells  30 of 90 cells"))
    assert ("━" * 8 in line) == (width >= 80)


def test_what_runs_and_the_last_result_are_below_the_bar(stage: display.StageProgress) -> None:
    stage.now, stage.last = [f"fsnl on Food, seed {n}" for n in range(6)], "fsnl on Food: H-mean 66.1"
    _, *below = stage.lines(80)
    assert below == [
        *(f"  now: fsnl on Food, seed {n}" for n in range(4)),
        "  and 2 more",
        "  last: fsnl on Food: H-mean 66.1",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(7.9, "0:07"), (750, "12:30"), (3723, "1:02:03")])
def test_clock(seconds: float, text: str) -> None:
    assert display.clock(seconds) == text


def test_a_log_gets_few_lines_with_the_last_result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    reporter = console.LineReporter()
    with reporter.stage("running cells", 600, "cells") as advance:
        for number in range(600):
            now[0] += 0.125
            reporter.running([f"cell {number}"])
            reporter.result(f"cell {number}: H-mean 1.0")
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "running cells: 600 cells"
    assert lines[1] == "running cells: 80 of 600 cells, 8.0/s; cell 79: H-mean 1.0"
    assert lines[-1] == "running cells: done, 600 cells in 75.0 s"
    assert len(lines) <= 2 + 75 / console.LOG_EVERY


@pytest.mark.parametrize(
    ("terminal", "kind", "made"),
    [
        (True, "xterm", console.ScreenReporter),
        (True, "dumb", console.LineReporter),
        (False, "xterm", console.LineReporter),
    ],
)
def test_only_a_terminal_that_can_redraw_gets_a_display(
    terminal: bool, kind: str, made: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    assert type(console.reporter()) is made
