"""Marks that only this user can make."""

from __future__ import annotations

import stat
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from harness import user_key
from harness.errors import StorageError
from harness.user_key import KEY_FILE, has_mark, mark

As = Callable[[str], None]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Ann's configuration folder."""
    return tmp_path / "users" / "ann" / "config"


def test_a_mark_is_of_its_user_and_of_its_parts(as_user: As) -> None:
    made = mark("a", "b")
    assert has_mark(made, "a", "b")
    for wrong in (("a", "c"), ("b", "a"), ("ab",), ("a", "b", "")):
        assert not has_mark(made, *wrong)
    for forged in ("", "0" * len(made), "\udcff"):
        assert not has_mark(forged, "a", "b")
    as_user("bob")
    assert not has_mark(made, "a", "b")
    as_user("ann")
    assert has_mark(made, "a", "b")


def test_only_the_user_can_read_the_key(as_user: As, config: Path) -> None:
    mark("a")
    (file,) = config.iterdir()
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == (KEY_FILE, 0o600)


def test_processes_that_start_together_make_one_key(as_user: As, config: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        assert len(set(pool.map(mark, ["a"] * 4))) == 1


def test_a_damaged_key_is_an_error(as_user: As, config: Path) -> None:
    config.mkdir(parents=True)
    for content in (b"", b"short", b"long" * 100):
        (config / KEY_FILE).write_bytes(content)
        with pytest.raises(StorageError, match=KEY_FILE):
            mark("a")


def test_without_a_configuration_folder_the_key_is_that_of_the_process(as_user: As, config: Path) -> None:
    config.parent.mkdir(parents=True)
    config.write_text("a file where the folder should be")
    made = mark("a")
    assert has_mark(made, "a")
    user_key._key.cache_clear()
    assert not has_mark(made, "a")
