"""``harness features``: every kind of rows is listed, verified and removed, and the user sees which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.cli import features
from harness.feature_cache.store import FeatureStore

from ..makers import sha

ROWS = {"tokens": np.zeros((2, 4, 8), np.float16), "pixels": np.zeros((2, 3, 4, 4), np.uint8)}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for kind, rows in ROWS.items():
        FeatureStore(tmp_path / "features", kind, f"{kind} of a model").put(0, [sha("a"), sha("b")], rows)
    return tmp_path


def test_kinds_are_listed(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert features.list_entries(cache, json=False) == 0
    shown = capsys.readouterr().out
    assert "tokens of a model" in shown
    assert "pixels of a model" in shown


def test_verify_says_which_kind_is_damaged(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert features.verify(cache) == 0
    (path,) = (cache / "features" / "tokens").rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert features.verify(cache) == 1
    shown = "".join(capsys.readouterr().err.split("\n"))
    assert "(tokens of a model)" in shown
    assert "pixels" not in shown


def test_clear_says_what_is_removed(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert features.clear("tok", cache) == 0
    assert capsys.readouterr().out.splitlines() == ["removed: tokens of a model", "freed 0.0 MB"]
    assert features.clear(None, cache) == features.clear(None, cache) == 0
    assert capsys.readouterr().out.splitlines() == ["removed: pixels of a model", "freed 0.0 MB", "freed 0.0 MB"]
