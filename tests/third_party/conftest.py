"""The command line on a small root, with plugins that tests install."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import pytest

from harness.registry import OWN, loading
from harness.registry.entry_points import Entry

from ..e2e.conftest import Answer, cache, harness, one_vocabulary, world  # noqa: F401 - fixtures
from .installed import install

MISBEHAVING = (Path(__file__).parent / "misbehaving.py").read_text(encoding="utf-8")


load_own = lru_cache(None)(loading._loaded.__wrapped__)
"""Loads a plugin of this repository once for all tests: those of other distributions alone change with the test."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed distributions, for this process and those it starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    load_other = lru_cache(None)(loading._loaded.__wrapped__)

    @wraps(loading._loaded.__wrapped__)
    def loaded(entry: Entry) -> Any:
        return (load_own if entry.origin.distribution == OWN else load_other)(entry)

    loaded.cache_clear = load_other.cache_clear  # type: ignore[attr-defined]
    monkeypatch.setattr(loading, "_loaded", loaded)
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def zoo(site: Path) -> Path:
    """The site with the misbehaving methods."""
    for name in re.findall(r'^    "(\w+)": \w+,$', MISBEHAVING, re.MULTILINE):
        install(
            site,
            "misbehaving",
            MISBEHAVING,
            name=name,
            value=f"misbehaving:offers.{name}",
            distribution="zoo",
            version="0.7",
        )
    return site


@pytest.fixture
def evaluate(harness: Callable[..., Answer], world: Path, tmp_path: Path) -> Callable[..., Answer]:  # noqa: F811
    """Runs ``harness evaluate`` on one domain of the small root, with JSON."""

    def call(*arguments: object) -> Answer:
        where = ("--data", world, "--out", tmp_path / "results", "--backbone", "beyond-mini", "--domain", "Animals")
        return harness("evaluate", *where, "--seeds", "1", "--shots", "2", "--json", *arguments)

    return call
