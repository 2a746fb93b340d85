"""Ranks over domains against scipy, the tables of Demsar (JMLR 2006), and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.leaderboard.domain_ranks import Comparison, critical_difference, friedman, rank_over_domains

C45 = """0.763 0.768 0.771 0.798|0.599 0.591 0.590 0.569|0.954 0.971 0.968 0.967|0.628 0.661 0.654 0.657
0.882 0.888 0.886 0.898|0.936 0.931 0.916 0.931|0.661 0.668 0.609 0.685|0.583 0.583 0.563 0.625
0.775 0.838 0.866 0.875|1.000 1.000 1.000 1.000|0.940 0.962 0.965 0.962|0.619 0.666 0.614 0.669
0.972 0.981 0.9751 0.975|0.957 0.978 0.946 0.970"""
"""Table 6 of the paper: AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 data sets.

On the last but one the printed 0.975 and 0.975 have the ranks 2 and 3.
"""
VALUES = np.array([row.split() for row in C45.replace("\n", "|").split("|")], dtype=np.float64)


def test_the_papers_example_is_reproduced() -> None:
    """Section 3.2: mean ranks, chi-squared 9.28 without regard to ties, and the critical difference 1.25."""
    found = rank_over_domains(VALUES, "nemenyi")
    assert found.order == (3, 1, 2, 0)
    assert found.rank.tolist() == pytest.approx([1.964, 2.000, 2.893, 3.143], abs=5e-4)
    assert 12 * 14 / 20 * ((found.rank**2).sum() - 25) == pytest.approx(9.28, abs=5e-3)
    assert found.p < stats.f.sf(3.69, 3, 39)  # with ties taken into account
    assert found.critical == pytest.approx(1.25, abs=5e-3)
    assert found.groups == ((0, 3),)  # "even the difference between the best and the worst is smaller"


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_those_of_the_printed_table(k: int, q: float) -> None:
    assert critical_difference(k, 9) == pytest.approx(q * np.sqrt(k * (k + 1) / 54), rel=5e-4)


def test_friedman_has_scipys_statistic_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, (9, 5)).astype(float) + np.arange(5)
    chi = stats.friedmanchisquare(*values.T).statistic
    f = 8 * chi / (9 * 4 - chi)
    assert friedman(stats.rankdata(-values, axis=1)) == pytest.approx(stats.f.sf(f, 4, 32))
    assert friedman(np.full((9, 3), 2.0)) == 1.0
    assert friedman(np.tile([1.0, 2.0, 3.0], (9, 1))) == 0.0


@pytest.mark.parametrize("comparison", ["nemenyi", "wilcoxon"])
def test_equal_methods_are_rarely_distinguished(comparison: Comparison) -> None:
    """The family-wise error is at most 5 %: Friedman's test first, then one correction for all pairs."""
    rng = np.random.default_rng(1)
    wrong = [rank_over_domains(rng.normal(size=(9, 4)), comparison).groups != ((0, 3),) for _ in range(400)]
    assert 0 < np.mean(wrong) < 0.08


@pytest.mark.parametrize("comparison", ["nemenyi", "wilcoxon"])
def test_groups_hold_the_pairs_that_do_not_differ(comparison: Comparison) -> None:
    """Two good methods and a bad one, in every domain: the bad one is outside of the group."""
    rng = np.random.default_rng(2)
    values = np.stack([rng.normal(0.8, 0.01, 12), rng.normal(0.8, 0.01, 12), rng.normal(0.5, 0.01, 12)], axis=1)
    found = rank_over_domains(values, comparison)
    assert found.order[2] == 2
    assert found.groups == ((0, 1),)
    assert (found.critical is None) == (comparison == "wilcoxon")


def test_wilcoxon_pairs_are_scipys_after_holm() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(12, 3)) + np.array([0.0, 0.9, 2.0])
    ps = sorted(stats.wilcoxon(values[:, a] - values[:, b]).pvalue for a, b in ((0, 1), (0, 2), (1, 2)))
    corrected = np.maximum.accumulate(np.array(ps) * [3, 2, 1])
    found = rank_over_domains(values, "wilcoxon")
    together = {(a, b) for first, last in found.groups for b in range(first, last + 1) for a in range(first, b)}
    assert len(together) == (corrected >= 0.05).sum() == 1
