from __future__ import annotations

from pathlib import Path

import pytest

from .roots import make_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A fresh root in the released format, free to be damaged."""
    return make_root(tmp_path / "data")
