"""The notebooks of ``examples/`` run from top to bottom, and show what they promise."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature cache that the notebooks share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Executes a notebook in an empty folder; returns the kinds and texts of all outputs."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("HARNESS_CACHE", str(cache))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")

    def execute(name: str) -> list[dict[str, Any]]:
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        assert all(not cell.get("outputs") for cell in notebook.cells), "notebooks are committed without outputs"
        work = tmp_path / "work"
        work.mkdir()
        nbclient.NotebookClient(notebook, timeout=540, kernel_name="python3").execute(cwd=str(work))
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        return [output.get("data", {"text/plain": output.get("text", "")}) for output in outputs]

    return execute


def texts(outputs: list[dict[str, Any]]) -> str:
    return "\n".join(data.get("text/plain", "") for data in outputs)


@pytest.mark.slow
def test_first_run(run: Any) -> None:
    outputs = run("1_first_run.ipynb")
    assert len([data for data in outputs if "image/png" in data]) == 2, "two figures"
    assert any("<caption>beyond-mini" in data.get("text/html", "") for data in outputs)
    assert "images are right" in texts(outputs)


@pytest.mark.slow
def test_own_method(run: Any) -> None:
    said = texts(run("2_own_method.ipynb"))
    assert "towards (weight=0.25)" in said
    assert "tip_adapter" in said


@pytest.mark.slow
def test_own_data_and_corpus(run: Any) -> None:
    said = texts(run("3_own_data.ipynb"))
    assert "zorvex" in said
    assert "tip_adapter" in said
    assert "'oop': (0, 0)" in said
    assert "'ip': (100, 50)" in said
