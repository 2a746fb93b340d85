"""A small root, a feature cache and a function that evaluates on them, as a script or notebook would."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import harness
from harness.api.results import Results

from ..e2e.conftest import cache, one_vocabulary, world

__all__ = ["cache", "evaluate", "one_vocabulary", "results", "world"]


@pytest.fixture
def evaluate(world: Path, cache: Path, tmp_path: Path) -> Callable[..., Results]:
    """``harness.evaluate`` on one domain of the small root, without a baseline, in one process."""
    return partial(
        harness.evaluate,
        domains="Animals",
        shots=2,
        seeds=1,
        data=world,
        backbone="beyond-mini",
        baseline="none",
        out=tmp_path / "results",
        cache=cache,
        workers=1,
    )


@pytest.fixture(scope="session")
def results(world: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two methods, two domains and two seeds; tests only read them."""
    return harness.evaluate(
        ["zero_shot", "tip_adapter"],
        domains=["Animals", "Insects_Spiders"],
        shots=2,
        seeds=[1, 2],
        data=world,
        backbone="beyond-mini",
        out=tmp_path_factory.mktemp("results"),
        cache=cache,
        workers=1,
    )
