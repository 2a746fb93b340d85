"""Build the web site of docs/ into site/.

    pip install -e ".[docs]"
    python scripts/build_site.py

Four pages are made from something else: the front page from README.md, the ones of changes and contributing from their
files, and the command line's from what `--help` says. They are written into docs/, where git ignores them. A warning,
such as a link to a page that does not exist, fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer import Context
from typer.cli import get_docs_for_click
from typer.main import get_command

from harness.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md"}
"""File of the repository -> the page that it is."""


def of_repository(text: str) -> str:
    """A file's text with links as the site has them; a link to what is no page becomes plain text."""
    text = re.sub(r"\]\(docs/", "](", text)
    for file, page in PAGES.items():
        text = text.replace(f"]({file}", f"]({page}")
    return re.sub(r"\[([^\]]+)\]\((?!https?://)[^)#]*\.(?!md|png|svg)\w+\)", r"\1", text)


def command_line() -> str:
    """All commands with their options."""
    command = get_command(app)
    tell_in_full(command)
    text = get_docs_for_click(obj=command, ctx=Context(command), name="harness")
    return "# Command line\n\nEvery command says the same with `--help`.\n" + text.split("\n", 1)[1]


def tell_in_full(command: Any) -> None:
    """Let lists of commands show the whole first line of their help, which Click cuts to 45 characters."""
    for inner in getattr(command, "commands", {}).values():
        inner.short_help = (inner.help or "").partition("\n")[0]
        tell_in_full(inner)


def main(root: Path = ROOT) -> int:
    """Write the pages and build; the exit status of the build."""
    for file, page in PAGES.items():
        text = (root / file).read_text(encoding="utf-8")
        (root / "docs" / page).write_text(of_repository(text), encoding="utf-8")
    (root / "docs" / "cli.md").write_text(command_line(), encoding="utf-8")
    return subprocess.run([sys.executable, "-m", "zensical", "build", "--clean", "--strict"], cwd=root).returncode


if __name__ == "__main__":
    sys.exit(main())
