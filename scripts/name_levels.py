"""Methods of the unlabeled track by what names tell, with 95 % intervals: zero-shot, TransCLIP and name learning.

    harness evaluate --plugin all --all-domains --out results
    python tests/bench/name_levels.py results zsnl transclip zero_shot

Reads the kept predictions of the miniature's rows. For every level of the names (harness/miniature/names.py) it prints
the accuracy of the OOP test images, and the first method's lead over each other one: the mean over the level's domains,
with the paired bootstrap over images and seeds of the leaderboard, and below it the interval when names are drawn again
too, with all their images: 24 names a domain are few, and what a level is worth depends on them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from harness.leaderboard.bootstrap import BootstrapDraws
from harness.miniature.names import LEVELS
from harness.results.artifacts import open_file
from harness.results.leaderboard_file import select

METRIC, REPLICATES = "oop_top1", 2000


def by_name(row, domain, artifacts):
    """The share of right answers of every name ``(names,)``, over images and seeds."""
    data = row.data[domain]
    label = artifacts.labels(data.fingerprint, "oop", data.unreadable)
    right = [artifacts.predictions(digest)["oop"] == label for digest in data.predictions.values()]
    counts = np.bincount(label)
    return np.bincount(label, weights=np.mean(right, axis=0)) / np.maximum(counts, 1)


def names_again(rows, artifacts, level):
    """Mean accuracies ``(REPLICATES, methods)`` with the names of every domain drawn again, alike for all."""
    generator, total = np.random.default_rng(0), 0
    domains = [domain for domain in rows[0].domains if LEVELS[domain] == level]
    for domain in domains:
        share = np.stack([by_name(row, domain, artifacts) for row in rows], axis=1)
        total = total + share[generator.integers(0, len(share), (REPLICATES, len(share)))].mean(axis=1)
    return total / len(domains)


def interval(values):
    low, high = 100 * np.percentile(values, (2.5, 97.5))
    return f"{low:+6.1f} to {high:+6.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("method", nargs="+")
    given = parser.parse_args()
    board, artifacts = open_file(given.results)
    rows = [select(board.rows, name, str(given.results)) for name in given.method]
    draws = BootstrapDraws(rows, [artifacts] * len(rows), [METRIC]).of(METRIC)
    if draws.lacking:
        raise SystemExit("; ".join(draws.lacking.values()))
    for level in dict.fromkeys(LEVELS.values()):
        domains = [domain for domain in rows[0].domains if LEVELS[domain] == level]
        if not domains:
            continue
        mean = [np.mean([row.domains[d][METRIC].mean for d in domains]) for row in rows]
        images = [np.mean([draws.of(row, d) for d in domains], axis=0) for row in rows]
        names = names_again(rows, artifacts, level)
        print(f"\n{level} ({', '.join(domains)})")
        for i, row in enumerate(rows):
            print(f"  {row.method:14} {100 * mean[i]:5.1f}   images and seeds {interval(images[i])}")
        for i, row in enumerate(rows[1:], 1):
            lead = f"{rows[0].method} - {row.method}"
            print(f"  {lead:24} {100 * (mean[0] - mean[i]):+5.1f}   images and seeds {interval(images[0] - images[i])}")
            print(f"  {'':24} {'':5}   names            {interval(names[:, 0] - names[:, i])}")
            for d in domains:
                apart = draws.of(rows[0], d) - draws.of(row, d)
                value = 100 * (rows[0].domains[d][METRIC].mean - row.domains[d][METRIC].mean)
                print(f"    {d:22} {value:+5.1f}   images and seeds {interval(apart)}")


if __name__ == "__main__":
    main()
