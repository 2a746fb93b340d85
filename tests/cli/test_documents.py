"""Commands in the documents exist, with the options that they use."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from harness.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    "scripts/README.md",
    "leaderboards/benchmarks/README.md",
)


def commands(document: str) -> list[str]:
    """Lines of code blocks, and inline code, that start with `harness`."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    lines = [line for block in blocks for part in block.splitlines() for line in part.split(" && ")]
    found = (re.sub(r"\s+", " ", line).strip().removeprefix(".venv/bin/") for line in (*lines, *inline))
    return [line for line in found if line.startswith("harness ")]


FOUND = [(document, line) for document in DOCUMENTS for line in commands(document)]


def resolve(line: str) -> tuple[object, list[str]]:
    """The command of a line, and its remaining words; alternatives (`list | clear`) end at the first one."""
    words = shlex.split(line.partition(" | ")[0], comments=True)[1:]
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    return command, words


def test_the_readme_names_the_main_commands() -> None:
    named = {line.split()[1] for document, line in FOUND if document == "README.md"}
    assert named >= {
        "evaluate",
        "data",
        "leaderboard",
        "reproduce",
        "doctor",
        "plugins",
        "manifest",
        "bench",
        "plot",
        "corpus",
    }


@pytest.mark.parametrize(("document", "line"), FOUND)
def test_a_command_in_a_document_exists(document: str, line: str) -> None:
    command, words = resolve(line)
    known = {"--help", "--traceback"} | {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
    assert unknown == []
    if getattr(command, "commands", None):
        assert not [word for word in words if not word.startswith("-")], f"{document}: no such command"


def test_a_misspelt_command_or_option_would_be_found() -> None:
    group, words = resolve("harness leaderboard shwo results")
    assert words == ["shwo", "results"]
    assert "shwo" not in group.commands
    command, words = resolve("harness evaluate --plugins fsnl")
    assert "--plugins" not in {option for p in command.params for option in p.opts}
