"""Power of paired comparisons: how many seeds, images and domains distinguish two rows that differ by so much.

In one domain the difference of two rows is a mean over seeds and images, both of them random: x_si = mean + seed s +
image i + rest, a two-way layout without replication, whose components of variance follow from its mean squares (Searle,
Casella and McCulloch, *Variance Components*, 1992). All variances here are of fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from harness.leaderboard.statistics import LEVEL

POWER = 0.8
"""Wanted probability that a test at 5 % finds the difference."""

MOST = 1_000_000
"""Largest number of seeds, images or domains that is considered."""

Scores = NDArray[np.float64]
"""What each image of a side adds to the difference of two rows, in every seed: ``(seeds, images)``."""


class Design(NamedTuple):
    """The size of a comparison; images are those of one domain, of all sides."""

    seeds: int
    images: int
    domains: int


@dataclass(frozen=True)
class DomainSpread:
    """Unbiased components of the variance of a difference in one domain; an estimate may be negative.

    Attributes:
        seeds: between seeds; 0 for methods that have none.
        images: between images, with all of the domain's images.
        rest: of images within seeds, with all of the domain's images and one seed.
    """

    seeds: float
    images: float
    rest: float


@dataclass(frozen=True)
class DifferenceSpread:
    """Components of the variance of the mean difference, averaged over domains.

    Attributes:
        seeds, images, rest: as in ``DomainSpread``; none is negative.
        domains: between the differences of domains, beyond what seeds and images explain; None for one domain.
        design: what was measured.
        seeded: whether one of the methods has seeds.
    """

    seeds: float
    images: float
    rest: float
    domains: float | None
    design: Design
    seeded: bool

    def variance(self, design: Design, any_domains: bool = False) -> float:
        """The variance of the mean difference.

        Args:
            design: the size.
            any_domains: whether the domains are a sample of more, rather than the only ones of interest.
        """
        more = design.images / self.design.images
        each = self.seeds / design.seeds + self.images / more + self.rest / (more * design.seeds)
        return (each + (self.domains or 0.0 if any_domains else 0.0)) / design.domains

    def bootstrap_variance(self, design: Design) -> float:
        """The variance of the difference in the replicates of the paired bootstrap, on average over data.

        Drawing n of n seeds leaves out a share 1/n of the variance between them; the rest is drawn with the seeds and
        with the images, and counts 3 - 2/n times (Owen, *The pigeonhole bootstrap*, 2007).
        """
        more, seeds = design.images / self.design.images, design.seeds
        of_seeds = self.seeds / seeds * (1 - 1 / seeds)
        return (of_seeds + self.images / more + self.rest / (more * seeds) * (3 - 2 / seeds)) / design.domains

    def freedom(self, design: Design, any_domains: bool = False) -> float:
        """Degrees of freedom of the estimated variance, by Satterthwaite's formula; over domains, one less than these.

        The estimate is that of the three mean squares: between seeds, between images, and the rest.
        """
        if any_domains:
            return design.domains - 1
        more, seeds = design.images / self.design.images, design.seeds
        images = design.domains * (design.images - 1)
        parts = [((self.images + self.rest / seeds) / more, images)]
        if self.seeded:
            parts += [((self.seeds + self.rest / more) / seeds, design.domains * (seeds - 1))]
            parts += [(self.rest / more / seeds, images * (seeds - 1))]
        below = sum(square**2 / freedom if freedom else inf for square, freedom in parts if square)
        return (design.domains * self.variance(design)) ** 2 / below if below else inf


def domain_spread(sides: Sequence[Scores]) -> DomainSpread:
    """The components in one domain.

    Args:
        sides: the scores of each side, of the same seeds; the difference is the sum of their means.
    """
    count = len(sides[0])
    images, rest = 0.0, 0.0
    for scores in sides:
        n = scores.shape[1]
        own = scores.mean(axis=0)
        images += float(own.var(ddof=1)) / n
        if count > 1:
            left = scores - own - scores.mean(axis=1, keepdims=True) + scores.mean()
            rest += float((left**2).sum()) / ((n - 1) * (count - 1)) / n
    totals = np.sum([scores.mean(axis=1) for scores in sides], axis=0)
    seeds = float(totals.var(ddof=1)) - rest if count > 1 else 0.0
    return DomainSpread(seeds, images - rest / count, rest)


def spread(differences: Sequence[float], domains: Sequence[DomainSpread], seeds: int, images: int) -> DifferenceSpread:
    """The components over all domains.

    Args:
        differences: of each domain.
        domains: the components of each.
        seeds: number of seeds that were measured; 0 if neither method has any.
        images: of a domain, in the mean.
    """
    parts = (np.mean([getattr(one, name) for one in domains]) for name in ("seeds", "images", "rest"))
    of_seeds, of_images, rest = (max(0.0, float(part)) for part in parts)
    design = Design(max(1, seeds), images, len(domains))
    found = DifferenceSpread(of_seeds, of_images, rest, None, design, seeds > 0)
    if len(domains) == 1:
        return found
    within = found.variance(design) * len(domains)
    between = max(0.0, float(np.var(differences, ddof=1)) - within)
    return DifferenceSpread(of_seeds, of_images, rest, between, design, seeds > 0)


def power(difference: float, found: DifferenceSpread, design: Design, any_domains: bool = False) -> float:
    """The probability that two-sided tests at 5 % find a difference: the lower one of two tests.

    One is the paired bootstrap of ``leaderboard show``, whose variance is too large where the rest is large, and too
    small where few seeds differ much; the other is a paired t-test with the estimated variance. Over any domains it is
    a t-test on the domains. Arguments as of ``variance``.
    """
    deviation = sqrt(found.variance(design, any_domains))
    if not deviation:
        return float(difference != 0)
    ratio = abs(difference) / deviation
    by_t = _t_power(found.freedom(design, any_domains), ratio)
    if any_domains:
        return by_t
    limit = float(stats.norm.isf((1 - LEVEL) / 2)) * sqrt(found.bootstrap_variance(design)) / deviation
    return min(by_t, float(stats.norm.sf(limit - ratio) + stats.norm.cdf(-limit - ratio)))


def detectable(found: DifferenceSpread, design: Design) -> float:
    """The smallest difference that has the power ``POWER`` in the same domains."""
    high = sqrt(found.variance(design))
    if not high:
        return 0.0
    if found.freedom(design) < 1:
        return inf
    while power(high, found, design) < POWER:
        high *= 2
    return float(optimize.brentq(lambda difference: power(difference, found, design) - POWER, 0.0, high))


def needed_seeds(difference: float, found: DifferenceSpread) -> int | None:
    """The fewest seeds with the power ``POWER`` on the same images; None if no number is enough, or there are none."""
    if not found.seeded:
        return None
    return _fewest(lambda n: power(difference, found, found.design._replace(seeds=n)) >= POWER)


def needed_images(difference: float, found: DifferenceSpread) -> int | None:
    """The fewest images of a domain with the power ``POWER`` in the same domains and seeds; None as above."""
    return _fewest(lambda n: power(difference, found, found.design._replace(images=n)) >= POWER)


def needed_domains(difference: float, found: DifferenceSpread) -> int | None:
    """The fewest domains, drawn from many, with the power ``POWER``; None as above, or if one domain was measured."""
    if found.domains is None:
        return None
    return _fewest(lambda n: power(difference, found, found.design._replace(domains=n), any_domains=True) >= POWER)


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """The first number from 2 on that is enough; more is never worse."""
    high = 2
    while not enough(high):
        if high >= MOST:
            return None
        high = min(2 * high, MOST)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _t_power(freedom: float, ratio: float) -> float:
    """Power of a two-sided t-test at 5 %; ``ratio`` is the difference over its standard deviation.

    The square of the noncentral t is a noncentral F, which scipy computes without losing digits in the far tail.
    """
    if freedom < 1:
        return 0.0
    freedom, ratio = min(freedom, MOST), max(ratio, 1e-6)  # scipy is wrong at zero
    return float(stats.ncf.sf(stats.f.isf(1 - LEVEL, 1, freedom), 1, freedom, ratio**2))
