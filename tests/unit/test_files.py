"""Atomic writing, and where the cache lies."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from harness.files import cache_root, storage_error, write_atomic


def test_a_file_is_written_replaced_and_readable_by_all(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"one")

    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write_atomic(path, b"two")
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_cache_is_the_given_one_or_the_variables_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", "from-variable")
    assert cache_root(Path("given")) == Path("given")
    assert cache_root() == Path("from-variable")
    monkeypatch.setenv("HARNESS_CACHE", "~/cache")
    assert cache_root() == Path.home() / "cache"
    monkeypatch.delenv("HARNESS_CACHE")
    assert cache_root().name == "laion-beyond-harness"


def test_the_sentence_names_what_where_and_why() -> None:
    error = storage_error("results", Path("out"), OSError(28, "No space left on device"), "free some space")
    assert error.message == "results cannot be written to out: no space left on device"
    assert storage_error("results", Path("out"), OSError("Odd"), "").message.endswith(": odd")
