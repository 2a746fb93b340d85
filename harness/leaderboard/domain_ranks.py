"""Ranks of rows over domains, and which of them differ (Demsar, *Statistical Comparisons of Classifiers over Multiple
Data Sets*, JMLR 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.leaderboard.statistics import LEVEL, holm

Comparison = Literal["nemenyi", "wilcoxon"]


@dataclass(frozen=True)
class DomainRanks:
    """Methods by their mean rank over domains, the best first.

    Attributes:
        order: position of each method among the given ones.
        rank: mean rank ``(k,)`` in that order; 1 is the best, equal values share the mean of their ranks.
        p: of Friedman's test, by the F distribution (Iman and Davenport, 1980): that all methods are equal.
        critical: mean ranks that differ by less are not distinguished; None by Wilcoxon's tests.
        groups: first and last position in the order of methods that are not distinguished from each other: the largest
            such groups of two and more. One group of all if Friedman's test finds no difference.
    """

    order: tuple[int, ...]
    rank: NDArray[np.float64]
    p: float
    critical: float | None
    groups: tuple[tuple[int, int], ...]


def rank_over_domains(values: NDArray[np.float64], comparison: Comparison) -> DomainRanks:
    """Rank methods in every domain, and compare every pair at 5 %.

    Args:
        values: ``(domains, methods)``, at least two of each; higher is better.
        comparison: the test after Friedman's. ``nemenyi`` compares mean ranks with one critical difference;
            ``wilcoxon`` compares each pair by the signed ranks of its own differences, after Holm. For nine domains the
            smallest p of the latter is 1 / 256, which Holm's correction makes too large from six methods on.
    """
    ranks = stats.rankdata(-values, axis=1)
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    mean = ranks.mean(axis=0)[order]
    p = friedman(ranks)
    critical = critical_difference(len(mean), len(values)) if comparison == "nemenyi" else None
    if p >= 1 - LEVEL:
        alike = np.ones((len(mean), len(mean)), dtype=bool)
    elif critical is None:
        alike = _no_wilcoxon_difference(values[:, order])
    else:
        alike = np.abs(mean - mean[:, None]) < critical
    return DomainRanks(tuple(order.tolist()), mean, p, critical, tuple(_groups(alike)))


def friedman(ranks: NDArray[np.float64]) -> float:
    """The p-value that all columns of ranks ``(n, k)`` are alike.

    The F statistic of a two-way layout of ranks, which takes ties into account, as scipy's chi-squared does.
    """
    n, k = ranks.shape
    between = n * ((ranks.mean(axis=0) - (k + 1) / 2) ** 2).sum()
    within = ((ranks - (k + 1) / 2) ** 2).sum() - between
    if not within:
        return float(not between)
    return float(stats.f.sf(between / within * (n - 1), k - 1, (n - 1) * (k - 1)))


def critical_difference(k: int, n: int) -> float:
    """Nemenyi's critical difference at 5 % between mean ranks of k methods over n domains."""
    return float(stats.studentized_range.isf(1 - LEVEL, k, np.inf) / sqrt(2) * sqrt(k * (k + 1) / (6 * n)))


def _no_wilcoxon_difference(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which pairs of methods do not differ at 5 % after Holm ``(k, k)``."""
    first, second = np.triu_indices(values.shape[1], 1)
    differences = values[:, first] - values[:, second]
    alike = np.eye(values.shape[1], dtype=bool)
    alike[first, second] = [p is None or p >= 1 - LEVEL for p in holm([_wilcoxon(pair) for pair in differences.T])]
    return alike | alike.T


def _wilcoxon(differences: NDArray[np.float64]) -> float:
    """Wilcoxon's signed-rank test; methods that are equal in every domain do not differ."""
    return float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0


def _groups(alike: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The largest runs of neighbours in the order all of whose pairs are alike."""
    found: list[tuple[int, int]] = []
    for first in range(len(alike)):
        last = first
        while last + 1 < len(alike) and alike[first : last + 1, last + 1].all():
            last += 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found
