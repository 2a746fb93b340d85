from __future__ import annotations

from pathlib import Path

import pytest

from .damage import OOP
from .roots import FOLDERS, make_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A fresh root in the released format, free to be damaged."""
    return make_root(tmp_path / "data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder alone: the OOP side of Animals."""
    return make_root(tmp_path / "data", {OOP: FOLDERS[OOP]}) / OOP
