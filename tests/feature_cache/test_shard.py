"""Shards hold rows of any shape and of three types; what they satisfy is checked in little memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from harness.feature_cache import shard
from harness.feature_cache.contents import list_encoders, verify
from harness.feature_cache.shard import RowRule
from harness.feature_cache.store import FeatureStore

from ..makers import few, sha

DTYPES = ("float32", "float16", "uint8")


def names(n: int) -> list[str]:
    return [sha(f"image {i}") for i in range(n)]


def units(*shape: int, dtype: str = "float16") -> NDArray[np.float16]:
    found = np.random.default_rng(0).standard_normal(shape)
    return (found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(dtype)


def finite(dtype: str, shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[np.generic]]:
    numbers = None if dtype == "uint8" else {"min_value": -100, "max_value": 100, "allow_nan": False}
    return arrays.arrays(dtype, shape, elements=numbers)


ROWS = st.tuples(st.sampled_from(DTYPES), arrays.array_shapes(min_dims=2, max_dims=4, max_side=5)).flatmap(
    lambda drawn: finite(*drawn)
)


@few
@given(ROWS, st.data())
def test_rows_of_any_shape_and_type_come_back_as_they_were_put(
    tmp_path_factory: pytest.TempPathFactory, rows: NDArray[np.generic], data: st.DataObject
) -> None:
    root, digests = tmp_path_factory.mktemp("cache"), names(len(rows))
    rule = RowRule(rows.shape[1:], rows.dtype.name)  # type: ignore[arg-type]
    FeatureStore(root, "k", "x").put(0, digests, rows)
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    found, missing = FeatureStore(root, "k", "x", rule=rule).get(0, [digests[i] for i in wanted])
    assert missing == []
    assert found is not None
    assert found.dtype == rows.dtype
    np.testing.assert_array_equal(found.reshape(-1, *rows.shape[1:]), rows[wanted])
    assert verify(root) == (1, [], [])
    assert [entry.images for entry in list_encoders(root)] == [len(rows)]


@pytest.mark.parametrize(
    "rule",
    [
        RowRule((4, 7), "float16", unit=True),
        RowRule((4, 8), "float32", unit=True),
        RowRule((4, 8), "uint8"),
        RowRule((2, 16), "float16", unit=True),
    ],
)
def test_a_shard_of_another_shape_type_or_length_is_ignored(tmp_path: Path, rule: RowRule) -> None:
    FeatureStore(tmp_path, "k", "x").put(0, names(3), units(3, 4, 8))
    right = RowRule((4, 8), "float16", unit=True)
    assert FeatureStore(tmp_path, "k", "x", rule=right).missing(0, names(3)) == []
    assert FeatureStore(tmp_path, "k", "x", rule=rule).missing(0, names(3)) == names(3)


@few
@given(st.integers(0, 9), st.integers(0, 3), st.integers(0, 7), st.sampled_from([np.nan, np.inf, -np.inf, 2]))
def test_one_wrong_number_anywhere_breaks_the_rule(image: int, token: int, place: int, number: float) -> None:
    rule, rows = RowRule((4, 8), "float16", unit=True), units(10, 4, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard, "CHECKED_NUMBERS", 20)  # several parts, the last of which is not full
        assert rule.holds(rows.reshape(10, -1))
        rows[image, token, place] = number
        assert not rule.holds(rows.reshape(10, -1))


def test_vectors_of_zeros_are_allowed_among_unit_vectors() -> None:
    rows = units(3, 4, 8)
    rows[1, 2] = 0
    assert RowRule((4, 8), "float16", unit=True).holds(rows.reshape(3, -1))


@pytest.mark.parametrize("width", [8, 768, 4096])
def test_rounding_to_half_precision_keeps_unit_length(width: int) -> None:
    assert RowRule((width,), "float16", unit=True).holds(units(200, width))
    sparse = np.zeros((1, width), np.float16)
    sparse[0, 3] = 1
    assert RowRule((width,), "float16", unit=True).holds(sparse)


def test_only_wanted_rows_are_copied(tmp_path: Path) -> None:
    rows = np.zeros((400, 20_000), np.uint8)
    FeatureStore(tmp_path, "k", "x").put(0, names(400), rows)
    store = FeatureStore(tmp_path, "k", "x")
    store.missing(0, names(400))
    tracemalloc.start()
    store.get(0, [names(400)[7], names(400)[390]])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400_000  # of 8,000,000 bytes


def test_a_large_shard_is_checked_in_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "CHECKED_NUMBERS", 1 << 14)
    FeatureStore(tmp_path, "k", "x").put(0, names(200), units(200, 40, 500))
    store = FeatureStore(tmp_path, "k", "x", rule=RowRule((40, 500), "float16", unit=True))
    tracemalloc.start()
    assert store.missing(0, names(200)) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # of 8,000,000 bytes


def test_rows_can_be_put_into_a_part_of_an_array(tmp_path: Path) -> None:
    rows = units(3, 8)
    store = FeatureStore(tmp_path, "k", "x")
    store.put(0, names(3), rows)
    out = np.full((4, 2, 8), 7, np.float16)
    found, missing = store.get(0, [*names(3), sha("new")], out=out[:, 1])
    assert found is not None
    assert np.shares_memory(found, out)
    assert missing == [3]
    np.testing.assert_array_equal(out[:3, 1], rows)
    assert (out[:, 0] == 7).all()
    assert (out[3] == 7).all()


def test_missing_notices_shards_that_are_removed_or_damaged_later(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, "k", "x")
    store.put(0, names(3), units(3, 8))
    assert store.missing(0, [sha("new"), *names(3)]) == [sha("new")]
    assert store.missing(1, names(3)) == names(3)
    (path,) = tmp_path.rglob("*.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\x01")
    assert store.missing(0, names(3)) == names(3)
    path.write_bytes(content)
    assert store.missing(0, names(3)) == []
    path.unlink()
    assert store.missing(0, names(3)) == names(3)
