"""A cache on an object store: what one machine has encoded, others copy; damaged or unreachable ones cost words."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pytest

from harness.errors import StorageError
from harness.feature_cache.remote import RemoteCache
from harness.feature_cache.store import FeatureStore
from harness.feature_cache.views import View

from ..makers import sha

DIGESTS = [sha(str(number)) for number in range(5)]
ROWS = np.arange(15, dtype=np.float32).reshape(5, 3)
KEY, VIEW = "0" * 32, View("features")


@pytest.fixture(params=["memory", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"memory://{tmp_path.name}/features" if request.param == "memory" else f"file://{tmp_path}/remote"


def store_in(folder: Path) -> FeatureStore:
    return FeatureStore(folder, KEY, "an encoder")


def test_what_one_machine_encodes_others_copy(address: str, tmp_path: Path) -> None:
    one, other, remote = store_in(tmp_path / "one"), store_in(tmp_path / "other"), RemoteCache(address)
    assert other.missing(0, DIGESTS) == DIGESTS
    assert remote.pull(other, VIEW) == 0
    one.put(0, DIGESTS[:3], ROWS[:3])
    one.put(0, DIGESTS[3:], ROWS[3:])
    assert remote.push(one, VIEW) == 2
    assert remote.push(one, VIEW) == 0
    assert remote.pull(other, VIEW) == 2
    assert other.missing(0, DIGESTS) == []
    rows, lacking = other.get(0, DIGESTS)
    assert (np.asarray(rows) == ROWS).all()
    assert lacking == []


def test_content_that_does_not_fit_its_name_is_not_taken(address: str, tmp_path: Path) -> None:
    one, remote = store_in(tmp_path / "one"), RemoteCache(address)
    one.put(0, DIGESTS, ROWS)
    remote.push(one, VIEW)
    files, root = fsspec.core.url_to_fs(address)
    (path,) = files.find(root)
    files.pipe_file(path, files.cat_file(path)[:-1] + b"!")
    files.pipe_file(f"{path.rpartition('/')[0]}/other.txt", b"")
    other = store_in(tmp_path / "other")
    assert remote.pull(other, VIEW) == 0
    assert other.missing(0, DIGESTS) == DIGESTS


def test_a_cache_that_cannot_be_used_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the remote cache nothing://x cannot be used: Protocol not known: nothing"):
        RemoteCache("nothing://x")
    (tmp_path / "file").write_text("")
    store = store_in(tmp_path / "one")
    store.put(0, DIGESTS, ROWS)
    with pytest.raises(StorageError, match=r"the remote cache file://.* cannot be used: "):
        RemoteCache(f"file://{tmp_path}/file").push(store, VIEW)


def test_a_run_takes_features_from_the_remote_cache(make_root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.feature_cache.image_encoder import ImageEncoder
    from harness.runner.evaluate import evaluate
    from harness.runner.request import MethodChoice, Request

    root = make_root(tmp_path / "root", {"Animals3_OOP": ("auk", "ibex", "moth")})
    monkeypatch.setenv("HARNESS_REMOTE_CACHE", f"memory://{tmp_path.name}")

    def run(name: str) -> bytes:
        place = {"data": root, "backbone": "beyond-mini", "out": tmp_path / name, "cache": tmp_path / f"{name} cache"}
        evaluate(Request((MethodChoice("zero_shot"),), workers=1, **place))
        return (tmp_path / name / "leaderboard.json").read_bytes()

    first = run("one")
    monkeypatch.setattr(ImageEncoder, "_encode", None)  # nothing is encoded again
    assert run("two") == first
