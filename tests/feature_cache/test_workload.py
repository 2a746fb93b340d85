"""What a run adds to the cache is known, and refused where there is no room, before anything is encoded."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import StorageError
from harness.feature_cache.extractor import Extractor
from harness.feature_cache.kinds import pixels
from harness.feature_cache.views import View
from harness.feature_cache.workload import Workload, measure_workload, require_room

from ..image_towers import image_backbone
from ..makers import few, sha


def names(n: int) -> list[str]:
    return [sha(f"image {i}") for i in range(n)]


def extractor() -> Extractor:
    return pixels(image_backbone("vit"))


def workload(cache: Path, images: int = 10, views: int = 2) -> Workload:
    made = extractor()
    return measure_workload(made, made.store(cache), [(View("pixels", view), names(images)) for view in range(views)])


def put(cache: Path, images: int, view: int = 0) -> None:
    extractor().store(cache).put(view, names(images), np.zeros((images, 3, 32, 32), np.uint8))


@few
@given(st.integers(0, 12), st.integers(1, 3), st.integers(0, 12))
def test_rows_are_missing_that_are_not_cached(
    tmp_path_factory: pytest.TempPathFactory, images: int, views: int, cached: int
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    put(cache, cached)
    found = workload(cache, images, views)
    assert found.rows == images * views
    assert found.missing == max(0, images - cached) + images * (views - 1)
    assert found.missing_bytes == found.missing * (3 * 32 * 32 + 32)


def test_an_image_that_is_wanted_twice_counts_once_and_an_unreadable_one_never(tmp_path: Path) -> None:
    made = extractor()
    wanted = [
        (View("pixels"), [*names(3), "unreadable"]),
        (View("pixels"), names(2)),
        (View("pixels", 1, 0.5), names(1)),
    ]
    assert (found := measure_workload(made, made.store(tmp_path), wanted)).rows == 4
    assert found.summary == "pixels of 32x32, shortest, bicubic: 4 of 4 rows are not cached (0.0 MB)"
    assert replace(found, missing=10**6).summary.endswith("1,000,000 of 4 rows are not cached (3.1 GB)")


def test_missing_bytes_are_what_the_shards_take(tmp_path: Path) -> None:
    needed = workload(tmp_path, 10, 1).missing_bytes
    put(tmp_path, 10)
    (path,) = tmp_path.rglob("*.safetensors")
    assert needed < path.stat().st_size < needed + 1000
    assert workload(tmp_path, 10, 1).missing_bytes == 0


def test_what_fits_is_accepted_and_marked_as_used(tmp_path: Path) -> None:
    put(tmp_path, 4)
    found = workload(tmp_path)
    os.utime(found.store.folder, (1000, 1000))
    require_room([found])
    assert found.store.folder.stat().st_mtime > 10**9
    require_room([])


@pytest.mark.parametrize(("limit", "fits"), [(100_000, True), (70_000, True), (60_000, False), (0, False)])
def test_a_cache_limit_that_is_too_small_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, fits: bool
) -> None:
    put(tmp_path, 4)
    monkeypatch.setenv("HARNESS_CACHE_LIMIT", str(limit))
    found = workload(tmp_path)
    if fits:
        require_room([found])
        return
    with pytest.raises(
        StorageError, match=r"the feature cache is limited to 0\.\d MB, and would need 0\.1 MB"
    ) as error:
        require_room([found])
    assert "HARNESS_CACHE_LIMIT=1GB" in str(error.value.hint)


def test_nothing_is_refused_where_all_rows_are_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, 10)
    monkeypatch.setenv("HARNESS_CACHE_LIMIT", "0")
    require_room([workload(tmp_path, 10, 1)])


def test_limits_apply_to_all_kinds_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE_LIMIT", "100000")
    one = workload(tmp_path)
    require_room([one])
    with pytest.raises(StorageError, match="the feature cache is limited"):
        require_room([one, one])


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> Any:
        asked.append(path)
        return SimpleNamespace(free=1000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(StorageError, match=r"the run adds 0\.1 MB to the feature cache, and .* has 0\.0 MB free"):
        require_room([workload(tmp_path / "not" / "there")])
    assert asked == [tmp_path]


def test_a_disk_that_cannot_be_looked_up_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    with pytest.raises(StorageError, match="cannot be looked up: input/output error"):
        require_room([workload(tmp_path)])
