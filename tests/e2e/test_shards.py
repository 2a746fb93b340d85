"""Shards of a run, each by a command of its own, add up to the leaderboard of one run, byte for byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.results.leaderboard_file import BOARD
from harness.results.store import ResultStore

WORDS = ("--plugin", "fsnl", "--seeds", "1-3")
CELLS = 2 * (1 + 3)  # two domains: zero_shot once, fsnl for three seeds


@pytest.fixture
def whole(evaluate, tmp_path) -> bytes:
    assert evaluate(*WORDS, out=tmp_path / "whole").code == 0
    return (tmp_path / "whole" / BOARD).read_bytes()


@pytest.mark.parametrize("shared", [False, True])
def test_shards_add_up_to_the_leaderboard_of_one_run(evaluate, harness, whole, tmp_path, shared):
    outs = [tmp_path / ("shared" if shared else f"shard {number}") for number in range(1, 6)]
    for number, out in enumerate(outs, start=1):
        answer = evaluate(*WORDS, "--shard", f"{number}/5", out=out)
        assert answer.code == 0, answer.err
    counts = [sum(1 for _ in ResultStore(out).cells()) for out in dict.fromkeys(outs)]
    assert sum(counts) == CELLS
    answer = harness("leaderboard", "assemble", *dict.fromkeys(outs), "--out", tmp_path / "all")
    assert (answer.code, answer.out) == (0, f"{CELLS} cells in {tmp_path / 'all' / BOARD}\n"), answer.err
    assert (tmp_path / "all" / BOARD).read_bytes() == whole
    assert evaluate(*WORDS, out=tmp_path / "all").json == evaluate(*WORDS, out=tmp_path / "whole").json
    assert harness("leaderboard", "verify", tmp_path / "all").code == 0
    if shared:
        assert (outs[0] / BOARD).read_bytes() == whole


def test_a_shard_reads_and_encodes_only_domains_that_it_needs(evaluate, tmp_path):
    cache = tmp_path / "cache"
    answer = evaluate("--shard", "1/2", "--cache", cache)
    assert answer.code == 0, answer.err
    assert {row["domain"] for row in answer.json["rows"]} == {"Animals"} if "rows" in answer.json else True
    assert {cell.spec.domain for cell in ResultStore(tmp_path / "results").cells()} == {"Animals"}


def test_results_that_differ_are_not_assembled(evaluate, harness, whole, tmp_path):
    shutil.copytree(tmp_path / "whole", tmp_path / "other")
    store = ResultStore(tmp_path / "other")
    cell = next(cell for cell in store.cells() if cell.spec.method.name == "fsnl")
    store.put(cell.model_copy(update={"metrics": {**cell.metrics, "oop_top1": 0.123}}))
    answer = harness("leaderboard", "assemble", tmp_path / "whole", tmp_path / "other", "--out", tmp_path / "all")
    assert answer.code == 2
    assert f"has another result of fsnl on {cell.spec.domain} (cell {cell.spec.key[:12]})" in answer.err


def test_damaged_results_are_left_out_with_a_note(evaluate, harness, whole, tmp_path):
    source = tmp_path / "whole"
    first, second = sorted(source.glob("cells/*/*.json"))[:2]
    first.write_bytes(b"{}")
    predictions = ResultStore(source).get(second.stem).predictions
    next(source.glob(f"predictions/*/{predictions}*")).write_bytes(b"")
    answer = harness("leaderboard", "assemble", source, "--out", tmp_path / "all")
    assert answer.code == 0
    assert f"{first.parent.name}/{first.name} is damaged and left out" in answer.err
    assert f"cell {second.stem[:12]} is left out: predictions" in answer.err


def test_bad_shards_and_folders_get_one_sentence(evaluate, harness, tmp_path):
    answer = evaluate("--shard", "6/5")
    assert answer.err.startswith("error: --shard '6/5' is not i/n\n")
    answer = harness("leaderboard", "assemble", tmp_path / "nothing", "--out", tmp_path / "all")
    assert (answer.code, answer.err.splitlines()[0]) == (2, f"error: {tmp_path / 'nothing'} has no results")


def test_a_shard_leaves_no_domain_out(evaluate, world, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(world, root, symlinks=True)
    next(Path(root).glob("Animals*_OOP/split*.json")).write_text("{")
    answer = evaluate("--shard", "1/2", data=root)
    assert answer.code == 2
    assert "Animals cannot be read" in answer.err or "split" in answer.err
