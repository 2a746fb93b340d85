"""Accuracy of methods on the miniature by how informative names are, with 95 % intervals.

    harness evaluate --plugin all --all-domains --out results
    python scripts/name_levels.py results zsnl transclip zero_shot

Reads the stored predictions. For every level of the names (harness/miniature/names.py) it prints the accuracy on OOP
test images and the first method's lead over the others: means over the level's domains, with the leaderboard's paired
bootstrap over images and seeds. The second interval also resamples names with all their images, because 24 names per
domain are few.
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
    """Accuracy of every name ``(names,)``, over images and seeds."""
    data = row.data[domain]
    label = artifacts.labels(data.fingerprint, "oop", data.unreadable)
    right = [artifacts.predictions(digest)["oop"] == label for digest in data.predictions.values()]
    counts = np.bincount(label)
    return np.bincount(label, weights=np.mean(right, axis=0)) / np.maximum(counts, 1)


def resample_names(rows, artifacts, level):
    """Mean accuracies ``(REPLICATES, methods)`` with the names of every domain resampled, equally for all methods."""
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
    if draws.missing:
        raise SystemExit("; ".join(draws.missing.values()))
    for level in dict.fromkeys(LEVELS.values()):
        domains = [domain for domain in rows[0].domains if LEVELS[domain] == level]
        if not domains:
            continue
        mean = [np.mean([row.domains[d][METRIC].mean for d in domains]) for row in rows]
        images = [np.mean([draws.of(row, d) for d in domains], axis=0) for row in rows]
        names = resample_names(rows, artifacts, level)
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
