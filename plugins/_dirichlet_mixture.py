"""Gaussian clusters of unknown number: splits and merges that raise the evidence under a Dirichlet process."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ._clustering import class_means

if TYPE_CHECKING:
    from torch import Tensor

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Candidate degrees of freedom of the prior, beyond the dimensions, in multiples of these."""
ROUNDS = 20
"""Most rounds of splits and merges."""
SWEEPS = 10
"""Most reassignments in a round."""


@dataclass(frozen=True)
class Gaussian:
    """A normal-inverse-Wishart distribution over mean and covariance: of a class before or after its images.

    Attributes:
        mean: ``(d,)``.
        kappa: images that the mean counts for.
        nu: degrees of freedom, above d + 1.
        scatter: ``(d, d)`` scale matrix.
    """

    mean: Tensor
    kappa: float
    nu: float
    scatter: Tensor

    def given(self, x: Tensor) -> Gaussian:
        """The posterior after images ``(n, d)``."""
        n, own = len(x), x.mean(dim=0)
        inside, apart = x - own, own - self.mean
        total = self.kappa + n
        scatter = self.scatter + inside.T @ inside + self.kappa * n / total * torch.outer(apart, apart)
        return Gaussian((self.kappa * self.mean + n * own) / total, total, self.nu + n, scatter)

    def log_evidence(self, x: Tensor) -> float:
        """Log-probability of images ``(n, d)`` as one class (Murphy, 2007, equation 266)."""
        after, d, n = self.given(x), x.shape[1], len(x)
        half = torch.tensor([self.nu / 2, after.nu / 2], dtype=torch.float64)
        before, gained = torch.mvlgamma(half, d).tolist()
        found = gained - before - n * d / 2 * math.log(math.pi) + d / 2 * math.log(self.kappa / after.kappa)
        volumes = self.nu / 2 * torch.logdet(self.scatter) - after.nu / 2 * torch.logdet(after.scatter)
        return found + float(volumes)

    def log_density(self, x: Tensor) -> Tensor:
        """Log-density ``(n,)`` at the expected mean and covariance."""
        d = x.shape[1]
        root = torch.linalg.cholesky(self.scatter / (self.nu - d - 1))
        apart = torch.linalg.solve_triangular(root, (x - self.mean).T, upper=False)
        return -apart.square().sum(dim=0) / 2 - root.diagonal().log().sum() - d / 2 * math.log(2 * math.pi)


def prior_of(known: Tensor, label: Tensor, x: Tensor) -> Gaussian:
    """The prior under which the classes of known images have the greatest evidence.

    Its covariance is that within the known classes, its mean that of the images ``x``, and kappa the ratio of the
    variances within and between classes; the degrees of freedom are chosen.
    """
    means = class_means(known, label)
    inside, d = known - means[label], known.shape[1]
    covariance = inside.T @ inside / max(1, len(known) - len(means))
    covariance.diagonal().add_(1e-3 * covariance.trace() / d + 1e-9)
    between = (means - means.mean(dim=0)).square().sum() / max(1, len(means) - 1)
    kappa = float(covariance.trace() / between.clamp_min(1e-9))
    found = []
    for strength in STRENGTHS:
        nu = d + 1 + strength
        found.append(Gaussian(x.mean(dim=0), max(kappa, 1e-3), nu, covariance * (nu - d - 1)))
    groups = [known[label == y] for y in label.unique()]
    return max(found, key=lambda prior: sum(prior.log_evidence(group) for group in groups))


def split_and_merge(x: Tensor, cluster: Tensor, prior: Gaussian, known: list[Tensor], concentration: float) -> Tensor:
    """Clusters ``(n,)`` of images, their number included, from a first clustering.

    A round reassigns all images, splits every cluster whose halves have the greater evidence, and merges clusters that
    have it together: the Hastings ratio of Chang and Fisher (2013), taken where it favours the move.

    Args:
        x: ``(n, d)`` images in float64.
        cluster: ``(n,)`` first clusters.
        prior: of every class.
        known: images of known classes, which are clusters with fixed members: 0 to m - 1 of the result.
        concentration: of the Dirichlet process.
    """
    m = len(known)
    cluster = _numbered(cluster) + m
    for _ in range(ROUNDS):
        before = cluster
        cluster = _reassigned(x, cluster, prior, known)
        cluster = _merged(x, _split(x, cluster, prior, m, concentration), prior, m, concentration)
        if torch.equal(cluster, before):
            break
    return _reassigned(x, cluster, prior, known)


def _numbered(cluster: Tensor) -> Tensor:
    return torch.unique(cluster, return_inverse=True)[1]


def _reassigned(x: Tensor, cluster: Tensor, prior: Gaussian, known: list[Tensor]) -> Tensor:
    """Every image to the class of the greatest density times size, repeated until nothing changes."""
    m = len(known)
    for _ in range(SWEEPS):
        free = int(cluster.max()) + 1 - m if len(cluster) else 0
        rows = [torch.cat([images, x[cluster == c]]) for c, images in enumerate(known)]
        rows += [x[cluster == m + c] for c in range(free)]
        score = torch.stack([prior.given(own).log_density(x) + math.log(len(own)) for own in rows], dim=1)
        found = score.argmax(dim=1)
        found = torch.where(found < m, found, m + _among(found, m))
        if torch.equal(found, cluster):
            break
        cluster = found
    return cluster


def _among(cluster: Tensor, m: int) -> Tensor:
    """Consecutive numbers of the free clusters; of known ones any."""
    return (torch.unique(cluster[cluster >= m])[None] < cluster[:, None]).sum(dim=1)


def _split(x: Tensor, cluster: Tensor, prior: Gaussian, m: int, concentration: float) -> Tensor:
    """Free clusters in two halves, where these have the greater evidence."""
    cluster = cluster.clone()
    for c in range(m, int(cluster.max()) + 1):
        own = (cluster == c).nonzero()[:, 0]
        upper = _halves(x[own])
        if 0 < int(upper.sum()) < len(own) and _gain(x[own], upper, prior, concentration) > 0:
            cluster[own[upper]] = int(cluster.max()) + 1
    return cluster


def _halves(x: Tensor) -> Tensor:
    """Two-means from the sides of the first principal axis: a mask ``(n,)``."""
    inside = x - x.mean(dim=0)
    axis = torch.linalg.eigh(inside.T @ inside).eigenvectors[:, -1]
    upper = inside @ axis > 0
    for _ in range(SWEEPS):
        if not 0 < int(upper.sum()) < len(x):
            break
        apart = [(x - x[side].mean(dim=0)).square().sum(dim=1) for side in (upper, ~upper)]
        upper = apart[0] < apart[1]
    return upper


def _gain(x: Tensor, upper: Tensor, prior: Gaussian, concentration: float) -> float:
    """Log of the Hastings ratio of two classes and one."""
    one, two = x[upper], x[~upper]
    sizes = math.lgamma(len(one)) + math.lgamma(len(two)) - math.lgamma(len(x))
    evidence = prior.log_evidence(one) + prior.log_evidence(two) - prior.log_evidence(x)
    return math.log(concentration) + sizes + evidence


def _merged(x: Tensor, cluster: Tensor, prior: Gaussian, m: int, concentration: float) -> Tensor:
    """Free clusters with their nearest ones, where one class has the greater evidence; the nearest pairs first."""
    free = [int(c) for c in torch.unique(cluster) if c >= m]
    means = torch.stack([x[cluster == c].mean(dim=0) for c in free]) if free else x[:0]
    apart = torch.cdist(means, means).fill_diagonal_(math.inf)
    pairs = sorted((float(row.min()), i, int(row.argmin())) for i, row in enumerate(apart)) if len(free) > 1 else []
    done: set[int] = set()
    cluster = cluster.clone()
    for _, i, j in pairs:
        if {i, j} & done:
            continue
        own = (cluster == free[i]) | (cluster == free[j])
        if _gain(x[own], cluster[own] == free[i], prior, concentration) < 0:
            cluster[own] = free[i]
            done |= {i, j}
    return torch.where(cluster < m, cluster, m + _among(cluster, m))
