"""Encoding a sample again for rows whose method read a file: the file is given, wherever it is now."""

from __future__ import annotations

import hashlib

from ..e2e.conftest import cache, harness, world  # noqa: F401 - fixtures
from ..third_party.conftest import site  # noqa: F401 - a fixture
from ..third_party.test_file_parameters import table  # noqa: F401 - a fixture


def test_features_are_encoded_again_with_the_file_that_the_method_read(
    table,  # noqa: F811
    harness,  # noqa: F811
    world,  # noqa: F811
    cache,  # noqa: F811
    tmp_path,
):
    chosen = ("--plugin", "reads", "--baseline", "none", "-p", f"reads.table={table}", "--domain", "Animals")
    results = tmp_path / "results"
    at = ("--data", world, "--out", results, "--backbone", "beyond-mini", "--workers", "1")
    assert harness("evaluate", *chosen, *at).code == 0
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    moved = table.rename(tmp_path / "moved.json")
    words = ("leaderboard", "verify", results, "--data", world, "--cache", cache, "--no-mark", "--features", 3)
    without = harness(*words)
    assert without.code == 3
    assert f"features are not compared: reads: parameter table is the file table.json with sha256 {digest}" in (
        without.out
    )
    assert "--file" in without.out
    answer = harness(*words, "--file", moved)
    assert answer.code == 0, answer.out + answer.err
    assert "features of 3 images encoded again: 3 equal bit for bit" in answer.out
