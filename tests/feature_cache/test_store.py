"""The feature cache: found by content alone, checked at every reading, bounded in size."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.errors import StorageError, UserError
from harness.feature_cache.contents import (
    DEFAULT_LIMIT_BYTES,
    clear,
    enforce_limit,
    list_encoders,
    size_limit,
    verify,
)
from harness.feature_cache.store import FeatureStore

from ..makers import few, sha


def rows(n: int, seed: int = 0, d: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def names(n: int, first: int = 0) -> list[str]:
    return [sha(f"image {first + i}") for i in range(n)]


def fill(root: Path, key: str, n: int = 3, used: float | None = None) -> Path:
    """An encoder with n images, last used at the given time."""
    FeatureStore(root, key, f"encoder {key}", limit=2**40).put(0, names(n), rows(n))
    if used is not None:
        os.utime(root / key, (used, used))
    return root / key


def shards(root: Path) -> list[Path]:
    return sorted(root.rglob("*.safetensors"))


def test_round_trip_preserves_features_in_any_order(tmp_path: Path) -> None:
    FeatureStore(tmp_path, "k", "x").put(0, names(5), rows(5))
    store = FeatureStore(tmp_path, "k", "x")
    order = [3, 0, 4, 3]
    found, missing = store.get(0, [names(5)[i] for i in order])
    assert missing == []
    np.testing.assert_array_equal(found, rows(5)[order])


def test_put_features_are_available_immediately(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, "k", "x")
    assert store.get(0, names(2)) == (None, [0, 1])
    store.put(0, names(2), rows(2))
    store.put(0, names(2, first=2), rows(2, seed=1))
    found, missing = store.get(0, names(4))
    assert missing == []
    np.testing.assert_array_equal(found, np.concatenate([rows(2), rows(2, seed=1)]))


def test_missing_images_are_listed_and_their_rows_are_zero(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, "k", "x")
    store.put(0, names(2), rows(2))
    found, missing = store.get(0, [sha("new"), names(2)[1], "unreadable"])
    assert missing == [0, 2]
    assert found is not None
    np.testing.assert_array_equal(found[[0, 2]], 0)
    np.testing.assert_array_equal(found[1], rows(2)[1])
    assert store.get(0, []) == (None, [])
    assert store.get(0, ["unreadable"]) == (None, [0])


def test_views_and_encoders_are_separate(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, "k", "x")
    store.put(1, names(2), rows(2))
    assert store.get(0, names(2)) == (None, [0, 1])
    assert FeatureStore(tmp_path, "other", "x").get(1, names(2)) == (None, [0, 1])


@pytest.mark.usefixtures("ordinary")
def test_prepare_checks_that_the_folder_is_writable(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, "key", "an encoder")
    store.prepare()
    store.prepare()
    assert [path.name for path in (tmp_path / "key").iterdir()] == ["encoder.txt"]
    (tmp_path / "key").chmod(0o555)
    with pytest.raises(StorageError, match=r"features cannot be written to .*key: permission denied"):
        store.prepare()


def test_nothing_is_written_for_no_images(tmp_path: Path) -> None:
    FeatureStore(tmp_path, "k", "x").put(0, [], rows(0))
    assert list(tmp_path.iterdir()) == []


def test_a_shard_is_named_by_the_sha256_of_its_content(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, "k", "x")
    store.put(0, names(2), rows(2))
    store.put(0, names(2), rows(2))
    (path,) = shards(tmp_path)
    assert path.stem.partition("-")[0] == hashlib.sha256(path.read_bytes()).hexdigest()


# -- damage --------------------------------------------------------------------------------------------------------


def flip(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


@pytest.mark.parametrize("damage", [flip, lambda c: c[:-1], lambda c: c[:4], lambda c: b"", lambda c: c + b"\0"])
def test_a_damaged_shard_is_reported_and_never_used(tmp_path: Path, damage: Any) -> None:
    store = FeatureStore(tmp_path, "k", "x")
    store.put(0, names(2), rows(2))
    store.put(0, names(2, first=2), rows(2, seed=1))
    assert verify(tmp_path) == (2, [], [])
    broken = next(p for p in shards(tmp_path) if sha_of_first(p) == names(1)[0])
    broken.write_bytes(damage(broken.read_bytes()))
    assert verify(tmp_path) == (2, [broken], [])
    again = FeatureStore(tmp_path, "k", "x")
    assert again.get(0, names(4))[1] == [0, 1]
    again.put(0, names(2), rows(2))
    assert verify(tmp_path) == (2, [], [])
    assert FeatureStore(tmp_path, "k", "x").get(0, names(4))[1] == []


def sha_of_first(path: Path) -> str:
    from safetensors.numpy import load_file

    return load_file(path)["sha256"][0].tobytes().hex()


def test_temporary_files_are_ignored(tmp_path: Path) -> None:
    fill(tmp_path, "k")
    (tmp_path / "k" / "view-000" / ".tmp-x").write_bytes(b"half")
    assert verify(tmp_path) == (1, [], [])
    assert FeatureStore(tmp_path, "k", "x").get(0, names(3))[1] == []


SHARDS = 60

FEW_FILES = """
import hashlib, os, resource, sys
from pathlib import Path
import numpy as np
from harness.feature_cache.contents import verify
from harness.feature_cache.store import FeatureStore

root, shards = Path(sys.argv[1]), int(sys.argv[2])
digests = [hashlib.sha256(f"image {i}".encode()).hexdigest() for i in range(shards)]
writer = FeatureStore(root, "k", "x")
resource.setrlimit(resource.RLIMIT_NOFILE, (shards // 2, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for i, digest in enumerate(digests):
    writer.put(0, [digest], np.full((1, 8), i, dtype=np.float32))
before = set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else None
for store in (writer, FeatureStore(root, "k", "x")):
    found, missing = store.get(0, digests)
    assert missing == [] and (found[:, 0] == range(shards)).all()
assert verify(root) == (shards, [], [])
assert before is None or set(os.listdir("/proc/self/fd")) == before
"""


def test_there_may_be_more_shards_than_open_files(tmp_path: Path) -> None:
    script = [sys.executable, "-c", FEW_FILES, str(tmp_path), str(SHARDS)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO, errno.ENOMEM])
def test_an_unreadable_shard_is_an_error_not_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    fill(tmp_path, "k")
    opened = FeatureStore(tmp_path, "k", "x")
    opened.get(0, names(3))
    with monkeypatch.context() as patch:
        patch.setattr("mmap.mmap", fail)
        for read in (lambda: verify(tmp_path), lambda: FeatureStore(tmp_path, "k", "x").get(0, names(3))):
            with pytest.raises(StorageError, match=rf"safetensors cannot be read: {os.strerror(number).lower()}"):
                read()
        with pytest.raises(StorageError, match="safetensors cannot be read"):
            opened.get(0, names(3))
    assert opened.get(0, names(3))[1] == []


def test_removed_shards_are_missing_and_can_be_put_again(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, "k", "x")
    store.put(0, names(2), rows(2))
    store.put(0, names(2, first=2), rows(2, seed=1))
    next(p for p in shards(tmp_path) if sha_of_first(p) == names(1)[0]).unlink()
    found, missing = store.get(0, names(4))
    assert missing == [0, 1]
    assert found is not None
    np.testing.assert_array_equal(found[2:], rows(2, seed=1))
    clear(tmp_path)
    assert store.get(0, names(4)) == (None, [0, 1, 2, 3])
    store.put(0, names(4), rows(4))
    assert store.get(0, names(4))[1] == []


# -- folders that cannot be written ----------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["fsync", "mkdir"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_an_unwritable_cache_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    store = FeatureStore(tmp_path / "features", "k", "x")
    monkeypatch.setattr(Path if function == "mkdir" else os, function, fail)
    with pytest.raises(StorageError, match=os.strerror(number).lower()) as error:
        store.put(0, names(1), rows(1))
    assert "HARNESS_CACHE" in str(error.value.hint)
    monkeypatch.undo()
    assert shards(tmp_path) == []


def test_a_read_only_cache_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "k")

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.EROFS, "Read-only file system")

    for function in ("mkdir", "replace", "unlink"):
        monkeypatch.setattr(Path, function, fail)
    for function in ("utime", "fsync"):
        monkeypatch.setattr(os, function, fail)
    store = FeatureStore(tmp_path, "k", "x")
    store.touch()
    assert store.get(0, names(3))[1] == []


# -- listing, clearing and the size bound ------------------------------------------------------------------------------


def test_list_encoders_is_sorted_by_last_use(tmp_path: Path) -> None:
    fill(tmp_path, "old", n=2, used=1000)
    fill(tmp_path, "new", n=3, used=2000)
    (tmp_path / "stray").mkdir()
    (tmp_path / "file").write_text("x")
    found = list_encoders(tmp_path)
    assert [(e.key, e.description, e.images, e.used) for e in found] == [
        ("new", "encoder new", 3, 2000),
        ("old", "encoder old", 2, 1000),
    ]
    assert all(e.bytes == sum(p.stat().st_size for p in shards(tmp_path / e.key)) for e in found)
    (fill(tmp_path, "nameless", n=2) / "encoder.txt").unlink()
    assert [(e.description, e.images) for e in list_encoders(tmp_path) if e.key == "nameless"] == [
        ("unknown encoder", 2)
    ]
    assert list_encoders(tmp_path / "not there") == []


def test_listing_reads_headers_and_verifying_reads_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "k", n=3)
    (path,) = shards(tmp_path)
    path.write_bytes(flip(path.read_bytes()))
    cut = path.with_name(f"{sha('cut')}.safetensors")
    for content in (path.read_bytes()[:-1], b""):
        cut.write_bytes(content)
        assert [e.images for e in list_encoders(tmp_path)] == [3]
    assert verify(tmp_path) == (2, sorted((path, cut)), [])

    def fail(*args: Any) -> Any:
        raise AssertionError("the data are read")

    monkeypatch.setattr("hashlib.sha256", fail)
    assert [e.images for e in list_encoders(tmp_path)] == [3]
    with pytest.raises(AssertionError, match="the data are read"):
        verify(tmp_path)


def test_touch_marks_as_used_now(tmp_path: Path) -> None:
    fill(tmp_path, "k", used=1000)
    FeatureStore(tmp_path, "k", "x").touch()
    assert list_encoders(tmp_path)[0].used > 10**9


def test_clear_accepts_a_key_prefix_or_all(tmp_path: Path) -> None:
    for key in ("abc", "abd", "xyz"):
        fill(tmp_path, key)
    each = list_encoders(tmp_path)[0].bytes
    for nothing in ("nothing", ""):
        with pytest.raises(UserError, match="no encoder named"):
            clear(tmp_path, nothing)
    assert len(list_encoders(tmp_path)) == 3
    assert [(e.key, e.bytes) for e in clear(tmp_path, "abc")] == [("abc", each)]
    assert {e.key for e in list_encoders(tmp_path)} == {"abd", "xyz"}
    assert {e.key for e in clear(tmp_path)} == {"abd", "xyz"}
    assert list_encoders(tmp_path) == []


def test_clear_raises_if_a_folder_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise OSError(errno.EROFS, "Read-only file system")

    fill(tmp_path, "abc")
    monkeypatch.setattr("shutil.rmtree", read_only)
    with pytest.raises(StorageError, match="abc cannot be removed: read-only file system"):
        clear(tmp_path)


def test_the_least_recently_used_encoder_is_removed_first(tmp_path: Path) -> None:
    for used, key in enumerate(("current", "oldest", "middle", "newest"), start=1000):
        fill(tmp_path, key, used=used)
    (tmp_path / "stray").mkdir()
    each = list_encoders(tmp_path)[0].bytes
    assert enforce_limit(tmp_path, 4 * each, keep="current") == 0
    assert enforce_limit(tmp_path, 3 * each, keep="current") == each
    assert {e.key for e in list_encoders(tmp_path)} == {"current", "middle", "newest"}
    assert enforce_limit(tmp_path, 0, keep="current") == 2 * each
    assert {e.key for e in list_encoders(tmp_path)} == {"current"}
    assert (tmp_path / "stray").is_dir()
    assert enforce_limit(tmp_path / "not there", 0, keep="current") == 0


def test_putting_keeps_the_cache_within_its_limit(tmp_path: Path) -> None:
    fill(tmp_path, "old", used=1000)
    fill(tmp_path, "new", used=2000)
    each = list_encoders(tmp_path)[0].bytes
    FeatureStore(tmp_path, "current", "x", limit=2 * each).put(0, names(3), rows(3))
    assert {e.key for e in list_encoders(tmp_path)} == {"new", "current"}
    store = FeatureStore(tmp_path, "current", "x", limit=0)
    store.put(0, names(3, first=3), rows(3))
    assert {e.key for e in list_encoders(tmp_path)} == {"current"}
    assert FeatureStore(tmp_path, "current", "x").get(0, names(6))[1] == []


def test_the_environment_variable_limits_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "old", used=1000)
    monkeypatch.setenv("HARNESS_CACHE_LIMIT", "1")
    FeatureStore(tmp_path, "current", "x").put(0, names(3), rows(3))
    assert {e.key for e in list_encoders(tmp_path)} == {"current"}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", DEFAULT_LIMIT_BYTES),
        ("0", 0),
        ("123456", 123456),
        ("17B", 17),
        ("20GB", 20 * 10**9),
        ("20 gb", 20 * 10**9),
        ("1.5GiB", 3 * 2**29),
        (" 2M ", 2 * 2**20),
        ("1T", 2**40),
        ("7kb", 7000),
    ],
)
def test_a_size_can_be_written_in_many_ways(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("HARNESS_CACHE_LIMIT", text)
    assert size_limit() == size


@few
@given(st.sampled_from(["-1", "GB", "20 bananas", "1e9", "20PB", "iB", "20iB", "1.2.3", "∞"]))
def test_an_invalid_size_is_an_error(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE_LIMIT", text)
        with pytest.raises(UserError, match="HARNESS_CACHE_LIMIT"):
            size_limit()


# -- several processes -------------------------------------------------------------------------------------------------


WRITER = """
import hashlib, sys
from pathlib import Path
import numpy as np
from harness.feature_cache.store import FeatureStore

worker = int(sys.argv[2])
store = FeatureStore(Path(sys.argv[1]), "k", "x")
for i in range(20):
    digests = [hashlib.sha256(f"image {100 * worker + 4 * i + j}".encode()).hexdigest() for j in range(4)]
    store.put(0, digests, np.full((4, 8), 100 * worker + i, dtype=np.float32))
assert "torch" not in sys.modules
"""


def test_concurrent_writers_lose_nothing(tmp_path: Path) -> None:
    workers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(worker)]) for worker in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    store = FeatureStore(tmp_path, "k", "x")
    for worker in range(3):
        found, missing = store.get(0, names(80, first=100 * worker))
        assert missing == []
        assert found is not None
        np.testing.assert_array_equal(found[:, 0], np.repeat(100 * worker + np.arange(20), 4))
    assert verify(tmp_path) == (60, [], [])


def test_macos_companion_files_are_ignored(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, "e" * 32, "an encoder")
    store.put(0, [sha("a")], np.ones((1, 4), np.float32))
    (shard,) = store.folder.glob("*/*.safetensors")
    shard.with_name(f"._{shard.name}").write_bytes(b"\0\5\x16\7")
    (tmp_path / f"._{store.folder.name}").write_bytes(b"\0\5\x16\7")
    (store.folder / "encoder.txt").write_bytes(b"an encoder \xff")
    assert verify(tmp_path) == (1, [], [])
    assert [(e.images, e.bytes, e.description) for e in list_encoders(tmp_path)] == [
        (1, shard.stat().st_size, "an encoder \N{REPLACEMENT CHARACTER}")
    ]
    assert FeatureStore(tmp_path, store.folder.name, "").get(0, [sha("a")])[1] == []
