from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.main import execute

from .results import Lab, make_lab


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Tests only read it."""
    return make_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def lab(shared_lab: Lab, tmp_path: Path) -> Lab:
    """A copy that a test may damage."""
    root, out = tmp_path / "data", tmp_path / "results"
    shutil.copytree(shared_lab.root, root)
    shutil.copytree(shared_lab.out, out)
    return Lab(root, shared_lab.domains, out, shared_lab.board)


@pytest.fixture
def harness(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line in this process: exit code, stdout, stderr."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = execute([str(a) for a in arguments])
        return (code, *capfd.readouterr())

    return call
