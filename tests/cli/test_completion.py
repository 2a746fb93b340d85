"""Names that the shell completes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..datasets.roots import make_root


def completed(words: str) -> list[str]:
    """The answer to a request of bash at the end of a command line."""
    request = {"_HARNESS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    command = [str(Path(sys.executable).with_name("harness"))]
    done = subprocess.run(command, env={**os.environ, **request}, capture_output=True, text=True, check=False)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("harness evaluate --method fsn", ["fsnl"]),
        ("harness evaluate --plugin fsnl,zero_s", ["fsnl,zero_shot"]),
        ("harness leaderboard show results --methods zsn", ["zsnl"]),
        ("harness evaluate --domain Fo", ["FolkArt", "Food"]),
        ("harness leaderboard sub", ["submit"]),
    ],
)
def test_names_are_completed(words: str, answers: list[str]) -> None:
    assert completed(words) == answers


def test_domains_of_a_folder_are_completed(tmp_path: Path) -> None:
    root = make_root(tmp_path / "data")
    assert completed(f"harness evaluate --data {root} --domain Anim") == ["Animals"]
