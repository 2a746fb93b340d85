"""Pages of made-up leaderboards, and one browser for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.site.build import build
from harness.types.cell import Cell

from ..leaderboard.results import Lab, make_lab
from ..plots.boards import study, write
from .chromium import Browser, program


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium."""
    if program() is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds the page of some cells."""

    def make(cells: list[Cell]) -> Path:
        folder = tmp_path_factory.mktemp("site")
        return build([write(cells, folder / "leaderboard.json")], folder / "out")

    return make


@pytest.fixture(scope="session")
def page(site: Callable[..., Path]) -> Path:
    """The page of ``boards.study``, which tests only read."""
    return site(study())


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A results folder with stored predictions over a small data folder; tests only read it."""
    return make_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="session")
def pictured(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the lab, with thumbnails."""
    return build([lab.out], tmp_path_factory.mktemp("pictured"), data=lab.root)


@pytest.fixture
def quiet(browser: Browser) -> Iterator[None]:
    """No test leaves an error on the console, and no page asks for anything but itself."""
    browser.window(1280, 900)
    yield
    assert browser.errors == []
    elsewhere = [address for address in browser.requests if not address.startswith("data:image/jpeg;base64,")]
    assert [address for address in elsewhere if not address.startswith("file:")] == []
    assert len(elsewhere) == 1
