"""Shards of a run, each by a command of its own, add up to the leaderboard of one run, byte for byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.shards import Shard
from harness.results.leaderboard_file import BOARD
from harness.results.store import ResultStore

from .test_evaluate import DOMAINS

WORDS = ("--plugin", "fsnl", "--seeds", "1-3")


@pytest.fixture
def whole(evaluate, tmp_path) -> bytes:
    assert evaluate(*WORDS, out=tmp_path / "whole").code == 0
    return (tmp_path / "whole" / BOARD).read_bytes()


def test_shards_add_up_to_the_leaderboard_of_one_run(evaluate, harness, whole, tmp_path):
    outs = [tmp_path / name for name in ("one", "shared", "shared")]
    for number, out in enumerate(outs, start=1):
        answer = evaluate(*WORDS, "--shard", f"{number}/3", out=out)
        assert answer.code == 0, answer.err
    cells = sum(1 for _ in ResultStore(tmp_path / "whole").cells())
    assert sum(sum(1 for _ in ResultStore(out).cells()) for out in set(outs)) == cells
    answer = harness("leaderboard", "assemble", *dict.fromkeys(outs), "--out", tmp_path / "all")
    assert (answer.code, answer.out) == (0, f"{cells} cells in {tmp_path / 'all' / BOARD}\n"), answer.err
    assert (tmp_path / "all" / BOARD).read_bytes() == whole
    assert harness("leaderboard", "verify", tmp_path / "all").code == 0
    assert evaluate(*WORDS, out=tmp_path / "all").err.count("running cells") == 0


def test_a_shard_reads_only_domains_that_it_needs(evaluate, tmp_path):
    answer = evaluate("--plugin", "fsnl", "--seeds", "1", "--shard", f"1/{len(DOMAINS)}")
    assert (answer.code, "reading domains: 1 domain\n" in answer.err) == (0, True), answer.err
    assert {cell.spec.domain for cell in ResultStore(tmp_path / "results").cells()} == {min(DOMAINS)}


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 9))
def test_every_cell_is_in_one_shard_that_reads_its_domain(of, domains, cells):
    shards = [Shard(number, of) for number in range(1, of + 1)]
    for position in range(domains * cells):
        (own,) = [shard for shard in shards if shard.has(position, domains * cells)]
        assert own.overlaps(position // cells, domains)
    counts = [sum(shard.has(position, domains * cells) for position in range(domains * cells)) for shard in shards]
    assert max(counts) - min(counts) <= 1


def test_damaged_results_are_left_out_and_differing_ones_named(evaluate, harness, whole, tmp_path):
    shutil.copytree(tmp_path / "whole", tmp_path / "other")
    store = ResultStore(tmp_path / "other")
    cell = next(cell for cell in store.cells() if cell.spec.method.name == "fsnl")
    store.put(cell.model_copy(update={"metrics": {**cell.metrics, "oop_top1": 0.123}}))
    answer = harness("leaderboard", "assemble", tmp_path / "whole", tmp_path / "other", "--out", tmp_path / "all")
    assert answer.code == 2
    assert f"has another result of fsnl on {cell.spec.domain} (cell {cell.spec.key[:12]})" in answer.err

    source = tmp_path / "whole"
    first, second = sorted(source.glob("cells/*/*.json"))[:2]
    first.write_bytes(b"{}")
    predictions = ResultStore(source).get(second.stem).predictions
    next(source.glob(f"predictions/*/{predictions}*")).write_bytes(b"")
    (source / "corpora").mkdir(exist_ok=True)
    (source / "corpora" / f"{'0' * 64}.json").write_bytes(b"{}")
    answer = harness("leaderboard", "assemble", source, "--out", tmp_path / "rest")
    assert answer.code == 0
    assert f"{first.parent.name}/{first.name} is damaged and left out" in answer.err
    assert f"cell {second.stem[:12]} is left out: predictions" in answer.err
    assert "a record of a corpus is left out" in answer.err


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
    assert answer.err.splitlines()[-1] == "hint: a shard leaves no domain out: repair it"
