"""Width of tables: the terminal's, or wide enough if stdout is not a terminal."""

from __future__ import annotations

import json
import threading

import pytest

from harness.cli import console
from harness.errors import UserError

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


HOSTILE = "a\x1b]0;title\x07\x1b[31mb\r\x9b2J\u202ec\udc9b"
SHOWN = r"a\x1b]0;title\x07\x1b[31mb\r\x9b2J\u202ec\udc9b"


def test_control_characters_are_shown_and_never_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    console.out().print(HOSTILE, markup=False, soft_wrap=True)
    console.out().print(console.table(HOSTILE, (HOSTILE,), [(HOSTILE,)]))
    console.err().print(HOSTILE, markup=False)
    console.lines(HOSTILE)
    console.message(HOSTILE)
    console.error_text(UserError(HOSTILE, HOSTILE))
    for reporter in (console.LineReporter(), console.ScreenReporter()):
        reporter.note(HOSTILE)
        with reporter.stage(HOSTILE, 1, "files") as advance:
            advance(1)
    out, err = capsys.readouterr()
    assert (out.count(SHOWN), err.count(SHOWN)) == (5, 9)
    assert {c for c in out + err if not c.isprintable()} == {"\n"}


def test_json_escapes_control_characters_and_keeps_their_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    content = {HOSTILE: ["Füße \N{ZERO WIDTH JOINER} \U0001f600"]}
    console.document(content)
    out = capsys.readouterr().out
    assert json.loads(out) == content
    assert {c for c in out if not c.isprintable()} == {"\n"}
    assert "Füße" in out


def test_names_of_other_scripts_and_emoji_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    name = "می\N{ZERO WIDTH NON-JOINER}خواهم \U0001f468\N{ZERO WIDTH JOINER}\U0001f33e ibex\N{NO-BREAK SPACE}é"
    console.lines(name)
    assert capsys.readouterr().out == name + "\n"


def test_what_takes_long_before_its_first_progress_is_said_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with console.preparing("checking the installation", 60):
        pass
    assert capfd.readouterr().err == ""
    with console.preparing("checking the installation", 0.01):
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):
                thread.join()
    assert capfd.readouterr() == ("", "checking the installation ...\n")
