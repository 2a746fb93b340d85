"""A cache that another user wrote to: rows say so, and encoding a sample again names every wrong image."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from .conftest import FAST, Answer

pytestmark = pytest.mark.slow

Run = Callable[..., Answer]


@pytest.fixture
def run(harness: Run, world: Path, tmp_path: Path, as_user: Callable[[str], None]) -> Run:
    """Runs methods on Animals of the small root, with a cache of this test."""

    def call(*arguments: object) -> Answer:
        at = ("--data", world, "--domain", "Animals", "--cache", tmp_path / "cache", "--out", tmp_path / "results")
        return harness(
            "evaluate", "--plugin", "zero_shot", "--plugin", "tip_adapter", *FAST[2:], "--workers", 1, *at, *arguments
        )

    return call


@pytest.fixture
def verify(harness: Run, world: Path, tmp_path: Path) -> Run:
    def call(*arguments: object) -> Answer:
        at = ("--data", world, "--cache", tmp_path / "cache", "--json", "--no-mark")
        return harness("leaderboard", "verify", tmp_path / "results", *at, *arguments)

    return call


def poison(cache: Path, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
    """Other features for the same images, under a right checksum and the mark of what they replace."""
    for path in list(cache.rglob("*.safetensors")):
        content = load(path.read_bytes())
        made = save({**content, "feature": np.ascontiguousarray(change(content["feature"]))})
        path.unlink()
        path.with_name(f"{hashlib.sha256(made).hexdigest()}{path.name[64:]}").write_bytes(made)


def of_other_images(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.roll(features, 1, axis=0)


def drifted(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """A hundredth of the way to one direction."""
    moved = 0.99 * features + 0.01 * features[:1]
    moved[0] = -features[0]
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("change", [of_other_images, drifted])
def test_poisoned_features_are_named_by_the_row_and_by_the_sample(
    run: Run, verify: Run, harness: Run, tmp_path: Path, change: Callable[..., NDArray[np.float32]]
) -> None:
    assert run().code == 0
    (own,) = {row["status"] for row in verify("--features", 5).json}
    assert own == "verified"
    assert "image features come from" not in harness("leaderboard", "show", tmp_path / "results").out
    poison(tmp_path / "cache", change)
    assert run("--out", tmp_path / "poisoned").code == 0
    shown = harness("leaderboard", "show", tmp_path / "poisoned")
    assert shown.out.count("image features come from a shared cache") == 1
    (tmp_path / "results" / "leaderboard.json").unlink()
    (tmp_path / "results").rename(tmp_path / "good")
    (tmp_path / "poisoned").rename(tmp_path / "results")
    assert {row["status"] for row in verify().json} == {"verified"}, "its predictions are what the cache gives"
    found = verify("--features", 1000, "--features-seed", "a")
    assert found.code == 3
    for row in found.json:
        assert row["status"] == "differs"
        assert all("cached features of view 0 are not those of the image" in what for what in row["problems"])
        assert "0 equal bit for bit" in row["notes"][-1]
        assert len(row["problems"]) > 20


def test_a_seed_repeats_its_sample(run: Run, verify: Run, tmp_path: Path) -> None:
    assert run().code == 0
    poison(tmp_path / "cache", of_other_images)
    first, again, other, random = (
        verify("--features", 3, *seed).json
        for seed in ((*("--features-seed", "a"),), ("--features-seed", "a"), ("--features-seed", "b"), ())
    )
    assert first == again
    assert len(first[0]["problems"]) == 3
    assert first[0]["problems"] != other[0]["problems"]
    seed = random[0]["notes"][-1].rpartition("--features-seed ")[2].rstrip(")")
    assert verify("--features", 3, "--features-seed", seed).json == random


def test_a_row_without_cached_features_is_not_verifiable_by_them(
    run: Run, verify: Run, harness: Run, tmp_path: Path
) -> None:
    assert run().code == 0
    assert harness("features", "clear", "--cache", tmp_path / "cache").code == 0
    found = verify("--features", 3)
    assert found.code == 3
    assert {row["status"] for row in found.json} == {"not verifiable"}
    assert "no image of the sample has cached features" in found.json[0]["problems"]


def test_a_forged_index_of_digests_is_not_believed(
    run: Run, verify: Run, harness: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest of one image put in the place of another gives it the other's features."""
    monkeypatch.setattr("harness.datasets.digests.SETTLED_S", 0.0)
    assert run().code == 0
    (index,) = (tmp_path / "cache").glob("digests*.sqlite")
    with sqlite3.connect(index) as connection:
        rows = list(connection.execute("SELECT files, path FROM folders"))
        assert sum(files.count(b"/") for files, _ in rows) > 60, "three parts for each of more than 20 files"
        for files, path in rows:
            parts = files.split(b"/")
            parts[2::3] = parts[-1:] * len(parts[2::3])
            connection.execute("UPDATE folders SET files = ? WHERE path = ?", [b"/".join(parts), path])
    connection.close()
    assert run("--out", tmp_path / "again").code == 0
    before, after = (tmp_path / place / "leaderboard.json" for place in ("results", "again"))
    assert before.read_bytes() == after.read_bytes()
