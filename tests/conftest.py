from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .datasets.roots import make_root as build


@pytest.fixture(name="make_root")
def _make_root() -> Callable[..., Path]:
    """Writes a small LAION-Beyond root in the released format: ``make_root(tmp_path)``; see ``datasets/roots.py``."""
    return build
