"""A cache that others can write: what this user wrote is known, and what cannot be right is never used."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load, save

from harness.feature_cache.contents import verify
from harness.feature_cache.shard import GIVEN, RowRule, row_digest
from harness.feature_cache.signed_index import FILE, sign_index
from harness.feature_cache.store import SHARED, FeatureStore
from harness.folders import config_root
from harness.signatures import ALLOWED

from ..makers import few, sha

pytestmark = pytest.mark.slow

As = Callable[[str], None]

UNIT_ROWS = RowRule((8,), "float32", unit=True)


def rows(n: int, seed: int = 0, d: int = 8) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).standard_normal((n, d))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def names(n: int, first: int = 0) -> list[str]:
    return [sha(f"image {first + i}") for i in range(n)]


def store(root: Path, key: str = "k") -> FeatureStore:
    return FeatureStore(root, key, "an encoder", rule=UNIT_ROWS)


def only_shard(root: Path) -> Path:
    (path,) = root.rglob("*.safetensors")
    return path


def plant(path: Path, content: bytes) -> Path:
    """Replace a shard by another content, under its right checksum and the old mark."""
    path.unlink()
    new = path.with_name(f"{hashlib.sha256(content).hexdigest()}{path.name[64:]}")
    new.write_bytes(content)
    return new


def test_features_of_this_user_have_no_other_origin(tmp_path: Path, as_user: As) -> None:
    store(tmp_path).put(0, names(3), rows(3))
    again = store(tmp_path)
    assert again.origins(0, names(3)) == set()
    assert not again.has_foreign()
    assert verify(tmp_path)[2] == []


def test_features_of_another_user_are_of_a_shared_cache(tmp_path: Path, as_user: As) -> None:
    store(tmp_path).put(0, names(3), rows(3))
    as_user("bob")
    mine = store(tmp_path)
    mine.put(0, names(2, first=3), rows(2))
    assert mine.origins(0, names(5)) == {SHARED}
    assert mine.has_foreign()
    assert mine.origins(0, names(2, first=3)) == set()
    assert mine.origins(1, names(5)) == set()
    assert len(verify(tmp_path)[2]) == 1


def test_a_poisoned_shard_with_its_right_checksum_is_foreign(tmp_path: Path, as_user: As) -> None:
    """Features of another image, under the mark of the shard that they replace."""
    store(tmp_path).put(0, names(3), rows(3))
    shard = only_shard(tmp_path)
    content = load(shard.read_bytes())
    plant(shard, save({**content, "feature": np.ascontiguousarray(content["feature"][::-1])}))
    poisoned = store(tmp_path)
    assert poisoned.get(0, names(3))[1] == []
    assert poisoned.origins(0, names(3)) == {SHARED}


def test_a_shard_moved_to_another_view_or_encoder_is_foreign(tmp_path: Path, as_user: As) -> None:
    store(tmp_path).put(0, names(3), rows(3))
    shard = only_shard(tmp_path)
    for place in ("k/view-001-box-0.08", "other/view-000"):
        target = tmp_path / place / shard.name
        target.parent.mkdir(parents=True)
        target.write_bytes(shard.read_bytes())
    assert store(tmp_path).origins(1, names(3)) == {SHARED}
    assert store(tmp_path, "other").origins(0, names(3)) == {SHARED}


def test_own_features_are_preferred(tmp_path: Path, as_user: As) -> None:
    for user, seed in (("bob", 1), ("ann", 2), ("eve", 3)):
        as_user(user)
        FeatureStore(tmp_path, "k", "x").put(0, names(3), rows(3, seed))
    for user, seed in (("bob", 1), ("ann", 2), ("eve", 3)):
        as_user(user)
        mine = store(tmp_path)
        found, _ = mine.get(0, names(3))
        np.testing.assert_array_equal(found, rows(3, seed))
        assert mine.origins(0, names(3)) == set()


# -- what is always checked ------------------------------------------------------------------------------------------


def _not_finite(found: dict[str, NDArray]) -> None:  # type: ignore[type-arg]
    found["feature"][1, 2] = np.nan


def _infinite(found: dict[str, NDArray]) -> None:  # type: ignore[type-arg]
    found["feature"][0, 0] = np.inf


def _long(found: dict[str, NDArray]) -> None:  # type: ignore[type-arg]
    found["feature"] *= np.float32(1.01)


def _narrow(found: dict[str, NDArray]) -> None:  # type: ignore[type-arg]
    found["feature"] = rows(3, d=4)


def _other_type(found: dict[str, NDArray]) -> None:  # type: ignore[type-arg]
    found["feature"] = found["feature"].astype(np.float64)


def _fewer(found: dict[str, NDArray]) -> None:  # type: ignore[type-arg]
    found["feature"] = found["feature"][:2].copy()


def _short_digests(found: dict[str, NDArray]) -> None:  # type: ignore[type-arg]
    found["sha256"] = found["sha256"][:, :16].copy()


def _no_digests(found: dict[str, NDArray]) -> None:  # type: ignore[type-arg]
    del found["sha256"]


@pytest.mark.parametrize(
    "change", [_not_finite, _infinite, _long, _narrow, _other_type, _fewer, _short_digests, _no_digests]
)
def test_a_shard_that_cannot_be_right_is_ignored(
    tmp_path: Path,
    as_user: As,
    change: Callable[[dict[str, NDArray]], None],  # type: ignore[type-arg]
) -> None:
    store(tmp_path).put(0, names(3), rows(3))
    shard = only_shard(tmp_path)
    content = {key: value.copy() for key, value in load(shard.read_bytes()).items()}
    change(content)
    plant(shard, save(content))
    assert store(tmp_path).get(0, names(3)) == (None, [0, 1, 2])


def header(digest: list[object], feature: list[object]) -> bytes:
    """A file with a header of these tensors, each of type, shape and offsets."""
    keys = ("dtype", "shape", "data_offsets")
    entries = {"sha256": dict(zip(keys, digest, strict=True)), "feature": dict(zip(keys, feature, strict=True))}
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(64)


ENTRIES = st.sampled_from(
    [
        ["U8", [1, 32], [0, 32]],
        ["F32", [1, 8], [0, 32]],
        ["F32", [2**60, 8], [0, 32]],
        ["F32", [2**40, 2**40], [0, 32]],
        ["F32", [1, 8], [40, 8]],
        ["F32", [1, -8], [0, 2**70]],
        ["I64", [1], [0]],
    ]
)
LENGTHS = [b"\0" * 8, b"\xff" * 8, b"\xff" * 4 + b"\0" * 4]
NO_HEADERS = [bytes([len(text)]) + b"\0" * 7 + text for text in (b"{}", b"[]", b"\xff")]


@few
@given(st.sampled_from([*LENGTHS, *NO_HEADERS]) | st.binary(max_size=200) | st.builds(header, ENTRIES, ENTRIES))
def test_no_content_ends_in_a_trace(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = tmp_path_factory.mktemp("cache")
    store(root).put(0, names(3), rows(3))
    plant(only_shard(root), content)
    assert store(root).get(0, names(3)) == (None, [0, 1, 2])
    assert verify(root)[0] == 1


@pytest.mark.parametrize("name", ["x", "a" * 64, f"{'a' * 64}-{'b' * 32}", f"{'g' * 64}-{'b' * 32}", f"-{'b' * 32}"])
def test_a_renamed_shard_is_ignored(tmp_path: Path, as_user: As, name: str) -> None:
    store(tmp_path).put(0, names(3), rows(3))
    shard = only_shard(tmp_path)
    shard.rename(shard.with_name(f"{name}.safetensors"))
    assert store(tmp_path).get(0, names(3)) == (None, [0, 1, 2])
    assert len(verify(tmp_path)[1]) == 1


def test_a_shard_that_is_written_to_after_its_check_is_checked_again(tmp_path: Path, as_user: As) -> None:
    store(tmp_path).put(0, names(3), rows(3))
    opened = store(tmp_path)
    opened.get(0, names(3))
    shard = only_shard(tmp_path)
    stat = shard.stat()
    content = shard.read_bytes()
    shard.write_bytes(content[:-4] + b"\0\0\0\1")
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert opened.get(0, names(3)) == (None, [0, 1, 2])
    opened.put(0, names(3), rows(3))
    shard.write_bytes(content)  # the same, at another time
    found, _ = opened.get(0, names(3))
    np.testing.assert_array_equal(found, rows(3))


def test_given_features_prove_themselves(tmp_path: Path, as_user: As) -> None:
    digests = [row_digest(row).hex() for row in rows(3)]
    FeatureStore(tmp_path, *GIVEN).put(0, digests, rows(3))
    as_user("bob")
    found = FeatureStore(tmp_path, *GIVEN)
    assert found.get(0, digests)[1] == []
    assert found.origins(0, digests) == set()
    shard = only_shard(tmp_path)
    content = load(shard.read_bytes())
    plant(shard, save({**content, "feature": np.ascontiguousarray(content["feature"][::-1])}))
    assert FeatureStore(tmp_path, *GIVEN).get(0, digests) == (None, [0, 1, 2])
    assert len(verify(tmp_path)[1]) == 1


# -- a cache that cannot be written ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("ordinary")
@pytest.mark.parametrize("shut", ["features", "features/k"])
def test_new_features_go_to_the_users_own_cache(tmp_path: Path, as_user: As, shut: str) -> None:
    root = tmp_path / "shared" / "features"
    store(root).put(0, names(2), rows(2))
    for folder in [*(tmp_path / "shared" / shut).rglob("*"), tmp_path / "shared" / shut]:
        folder.chmod(0o555)
    as_user("bob")
    mine = store(root)
    assert mine.get(0, names(4))[1] == [2, 3]
    mine.prepare()
    mine.put(0, names(2, first=2), rows(2, seed=1))
    own = tmp_path / "users" / "bob" / "cache" / "laion-beyond-harness" / "features"
    assert only_shard(own).parent == own / "k" / "view-000"
    again = store(root)
    found, missing = again.get(0, names(4))
    assert missing == []
    np.testing.assert_array_equal(found, np.concatenate([rows(2), rows(2, seed=1)]))
    assert again.origins(0, names(4)) == {SHARED}
    assert again.origins(0, names(2, first=2)) == set()


# -- a cache whose maintainer signs it -------------------------------------------------------------------------------


def trust(line: str) -> None:
    (config_root() / ALLOWED).parent.mkdir(parents=True, exist_ok=True)
    (config_root() / ALLOWED).write_text(f"{line}\n")


def test_the_origin_names_a_trusted_signer(tmp_path: Path, as_user: As) -> None:
    store(tmp_path).put(0, names(3), rows(3))
    count, left_out, line = sign_index(tmp_path)
    assert (count, left_out) == (1, 0)
    name = line.split()[0]
    as_user("bob")
    assert store(tmp_path).origins(0, names(3)) == {SHARED}
    trust(line)
    assert store(tmp_path).origins(0, names(3)) == {f"a cache signed by {name}"}
    poisoned = plant(
        only_shard(tmp_path), save({**load(only_shard(tmp_path).read_bytes()), "feature": rows(3, seed=1)})
    )
    assert store(tmp_path).origins(0, names(3)) == {SHARED}
    index = json.loads((tmp_path / FILE).read_text())
    index["shards"] = [poisoned.relative_to(tmp_path).as_posix()]
    (tmp_path / FILE).write_text(json.dumps(index))
    assert store(tmp_path).origins(0, names(3)) == {SHARED}, "the signature is of another list"


def test_only_undamaged_shards_of_the_signer_are_signed(tmp_path: Path, as_user: As) -> None:
    store(tmp_path).put(0, names(3), rows(3))
    as_user("bob")
    store(tmp_path).put(0, names(2, first=3), rows(2))
    store(tmp_path, "other").put(0, names(2), rows(2))
    (damaged,) = (tmp_path / "other").rglob("*.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert sign_index(tmp_path)[:2] == (1, 2)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"shards": [1]}', b'{"shards": [], "signature": "x"}']
)
def test_an_index_that_is_not_valid_signs_nothing(tmp_path: Path, as_user: As, content: bytes) -> None:
    store(tmp_path).put(0, names(3), rows(3))
    (tmp_path / FILE).write_bytes(content)
    as_user("bob")
    assert store(tmp_path).origins(0, names(3)) == {SHARED}
