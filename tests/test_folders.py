"""The locations of the cache and of the configuration."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from harness.errors import StorageError
from harness.folders import cache_root, config_root, writable_cache


def test_cache_root_order_of_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", "from-variable")
    assert cache_root(Path("given")) == Path("given")
    assert cache_root() == Path("from-variable")
    monkeypatch.setenv("HARNESS_CACHE", "~/cache")
    assert cache_root() == Path.home() / "cache"
    monkeypatch.delenv("HARNESS_CACHE")
    assert cache_root().name == "laion-beyond-harness"


def test_missing_home_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HARNESS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for variable in (None, "~/cache"):
        monkeypatch.setenv("HARNESS_CACHE", variable) if variable else monkeypatch.delenv("HARNESS_CACHE", False)
        with pytest.raises(StorageError, match="has no home folder") as found:
            cache_root()
        assert "HARNESS_CACHE" in str(found.value.hint)
    assert cache_root(Path("given")) == Path("given")
    with pytest.raises(StorageError, match="no configuration folder is known") as found:
        config_root()
    assert "HARNESS_CONFIG" in str(found.value.hint)


def test_config_root_order_of_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CONFIG", "~/config")
    assert config_root() == Path.home() / "config"
    monkeypatch.delenv("HARNESS_CONFIG")
    assert config_root().name == "laion-beyond-harness"


@pytest.mark.usefixtures("ordinary")
def test_the_users_own_cache_takes_the_place_of_one_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    shared = tmp_path / "shared"
    shared.mkdir()
    assert writable_cache(shared) == shared
    shared.chmod(0o555)
    assert writable_cache(shared) == tmp_path / "home" / "laion-beyond-harness"
    assert writable_cache(tmp_path / "new") == tmp_path / "new"
