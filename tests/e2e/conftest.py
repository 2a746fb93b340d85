"""The whole way through the command line, on a small root with every awkward case, and the shipped weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import execute

from ..datasets.roots import make_root

FAST = ("-p", "fsnl.epochs=2", "--backbone", "beyond-mini", "--seeds", "1,2", "--shots", "2")
"""Options of a quick run on the small root."""


@dataclass
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root that tests only read."""
    return make_root(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature cache that tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session", autouse=True)
def one_vocabulary() -> Iterator[None]:
    """Open_clip's tokenizers are made once for all runs in this process: each reads its vocabulary from a file."""
    from open_clip import factory

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factory, "SimpleTokenizer", lru_cache(factory.SimpleTokenizer))
        yield


@pytest.fixture
def harness(capfd: pytest.CaptureFixture[str], cache: Path) -> Callable[..., Answer]:
    """Runs a command line in this process."""

    def call(*arguments: object) -> Answer:
        words = [str(a) for a in arguments]
        if words[0] in ("evaluate", "doctor", "features") and "--cache" not in words:
            words += ["--cache", str(cache)]
        capfd.readouterr()
        code = execute(words)
        captured = capfd.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


@pytest.fixture
def evaluate(harness: Callable[..., Answer], world: Path, tmp_path: Path) -> Callable[..., Answer]:
    """Runs ``harness evaluate`` quickly on the small root, with JSON."""

    def call(*arguments: object, data: Path = world, out: Path = tmp_path / "results") -> Answer:
        where = ("--data", data, "--out", out)
        chosen = () if "--domain" in arguments else ("--all-domains",)
        workers = () if "--workers" in arguments else ("--workers", "1")
        return harness("evaluate", *chosen, *where, *FAST, *workers, "--json", *arguments)

    return call


@pytest.fixture(scope="session")
def _runs() -> list[tuple[Answer, Path]]:
    return []


@pytest.fixture
def whole_run(
    evaluate: Callable[..., Answer], tmp_path_factory: pytest.TempPathFactory, _runs: list[tuple[Answer, Path]]
) -> tuple[Answer, Path]:
    """The answer and the results folder of ``evaluate()``, made once: tests only read them."""
    if not _runs:
        out = tmp_path_factory.mktemp("whole_run")
        _runs.append((evaluate(out=out), out))
    return _runs[0]


def start(*arguments: object, cache: Path) -> subprocess.Popen[str]:
    """Start the installed command in a new process group."""
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli.main", *map(str, arguments)],
        env={**os.environ, "HARNESS_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell starts background jobs with Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
