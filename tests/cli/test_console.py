"""Width of tables: the terminal's, or wide enough if stdout is not a terminal."""

from __future__ import annotations

import pytest

from harness.cli import console

LONG = "x" * 150


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"FORCE_COLOR": "1", "TERM": "dumb"},
        {"TERM": "unknown", "FORCE_COLOR": "1"},
        {"COLUMNS": "20"},
        {"NO_COLOR": "1"},
    ],
)
def test_pipe_gets_whole_tables_in_any_environment(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TERM", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    console.out().print(console.table("", ("long",), [(LONG,)]))
    assert LONG in capsys.readouterr().out


def test_a_title_stays_in_one_line_above_a_narrow_table(capsys: pytest.CaptureFixture[str]) -> None:
    title = "a data set, a backbone, a protocol, 4 shots"
    console.out().print(console.table(title, ("x",), [("1.0",)]))
    assert capsys.readouterr().out.splitlines()[0].strip() == title


@pytest.mark.parametrize("kind", ["dumb", "xterm"])
def test_a_terminal_gets_its_own_width(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert console.out().width == 120
    monkeypatch.setenv("COLUMNS", "20")
    console.out().print(console.table("a title", ("method", "x"), [("a long name of a method", "1.0")]))
    assert "1.0" in capsys.readouterr().out
