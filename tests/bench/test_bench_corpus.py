"""Matching captions against ahocorasick_rs and hyperscan: ``pytest tests/bench/test_bench_corpus.py --benchmark-only``.

Every matcher gets the same captions of 60 characters and the same 1,000 names of one to four words, in turn and in one
process. Ours applies all rules and chooses evidence; ahocorasick_rs finds substrings without word boundaries, in texts
that are in lower case already; hyperscan finds ``\\bname\\b``. One core is measured in CPU seconds, which other work on
the machine hardly changes. HARNESS_BENCH_OUT names a file for the ratios.
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from harness.corpus.matcher import ColumnMatcher
from harness.corpus.tokens import merges
from harness.matching import native

CAPTIONS, NAMES, CHARACTERS, SEEDS = 200_000, 1_000, 60, 5
TIMES = 4
"""How often threads read the captions in one call, in parts of about a batch that is read from a file."""
OURS = "one thread"
WALL = "one thread by the wall clock", "two threads by the wall clock"
PEERS = "ahocorasick_rs", "hyperscan", "hyperscan in one block"

pytestmark = pytest.mark.skipif(not native.has_cpp(), reason="the native module is not built")

seconds: dict[tuple[str, int], float] = {}


@cache
def words():
    """The words of CLIP's vocabulary, the frequent ones first."""
    found = (first + second.removesuffix("</w>") for first, second in merges() if second.endswith("</w>"))
    return [word for word in found if word.isascii() and word.isalpha() and 2 <= len(word) <= 12][:20_000]


@cache
def names():
    rng = random.Random(0)
    return sorted({" ".join(rng.sample(words()[200:], rng.randrange(1, 5))) for _ in range(NAMES)})


@cache
def captions(seed):
    """Words by Zipf's law; every twentieth caption contains a name."""
    rng = np.random.default_rng(seed)
    weights = 1 / (np.arange(len(words())) + 10)
    drawn = rng.choice(len(words()), (CAPTIONS, 14), p=weights / weights.sum())
    made = [" ".join(words()[i] for i in row) for row in drawn]
    made[::20] = [f"{text[:20]} {names()[i % len(names())]} {text}" for i, text in enumerate(made[::20])]
    return [text[:CHARACTERS].capitalize() for text in made]


@cache
def matcher():
    return ColumnMatcher(dict.fromkeys(names(), ()), 77, 3)


def contender(name, seed):
    """A call that reads all captions."""
    given = captions(seed)
    if name == "ahocorasick_rs":
        library = pytest.importorskip("ahocorasick_rs")
        automaton = library.AhoCorasick(names(), library.MatchKind.Standard)
        lowered = [caption.lower() for caption in given]
        return lambda: [automaton.find_matches_as_indexes(caption, overlapping=True) for caption in lowered]
    if name == "hyperscan":
        database, encoded = hyperscan_database(), [caption.encode() for caption in given]
        return lambda: [database.scan(caption, match_event_handler=ignore) for caption in encoded]
    if name == "hyperscan in one block":  # it does not know then which caption a match is in
        database, block = hyperscan_database(), "\n".join(given).encode()
        return lambda: database.scan(block, match_event_handler=ignore)
    column = pa.array(given)
    if name == OURS:
        return lambda: matcher().count(column, "a", 0)
    # As in the middle of a corpus: the evidence found before leaves little to return.
    limits = matcher().count(column, "a", 0).limits()
    parts = [column.slice(begin, CAPTIONS // 2) for begin in (0, CAPTIONS // 2)] * TIMES
    pool = ThreadPoolExecutor(WALL.index(name) + 1)
    return lambda: list(pool.map(lambda part: matcher().count(part, "a", 0, limits), parts))


def ignore(*match):
    """Takes a match of hyperscan, and goes on."""


@cache
def hyperscan_database():
    library = pytest.importorskip("hyperscan")
    database = library.Database()
    patterns = [rf"\b{name}\b".encode() for name in names()]
    database.compile(patterns, flags=[library.HS_FLAG_CASELESS] * len(patterns))
    return database


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("name", [OURS, *PEERS])
@pytest.mark.benchmark(timer=time.process_time)
def test_matching_captions_on_one_core(benchmark, seed, name):
    measure(benchmark, seed, name)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("name", WALL)
def test_matching_captions_in_threads(benchmark, seed, name):
    measure(benchmark, seed, name)


def measure(benchmark, seed, name):
    run = contender(name, seed)
    benchmark.extra_info.update(captions=CAPTIONS * (TIMES if name in WALL else 1), names=len(names()))
    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    if benchmark.stats is not None:
        seconds[name, seed] = benchmark.stats.stats.median / (TIMES if name in WALL else 1)


def test_ratios_are_written(benchmark):
    """Last: the medians and the ratios, in the style of the other benchmarks."""
    benchmark.pedantic(lambda: None)
    if not (out := os.environ.get("HARNESS_BENCH_OUT")):
        pytest.skip("HARNESS_BENCH_OUT is not set")
    content = {
        "schema": 1,
        "benchmark": "corpus",
        "captions": CAPTIONS,
        "characters": CHARACTERS,
        "names": len(names()),
        "seeds": SEEDS,
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": native.usable_cores()},
        "versions": {name: of(name) for name in ("pyarrow", *PEERS[:2], "pytest-benchmark")},
        "rows": [*(row(OURS, peer) for peer in PEERS), row(WALL[1], WALL[0])],
    }
    Path(out).write_text(json.dumps(content, indent=1) + "\n")


def row(ours, peer):
    """How many times as fast ours is, instance by instance."""
    ratios = [seconds[peer, seed] / seconds[ours, seed] for seed in range(SEEDS)]
    speeds = {
        f"{side}_million_per_s": round(CAPTIONS / 1e6 / statistics.median(seconds[name, s] for s in range(SEEDS)), 3)
        for side, name in (("ours", ours), ("peer", peer))
    }
    ratio, worst = round(statistics.median(ratios), 3), round(min(ratios), 3)
    return {"ours": ours, "peer": peer, **speeds, "ratio": ratio, "worst": worst}


def of(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None
