"""Semi-supervised Gaussian mixture: clusters of the pool whose number is estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from harness.errors import MethodError
from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._clustering import cluster_means, kmeans
from ._dirichlet_mixture import prior_of, split_and_merge
from ._training import PositiveFloat, PositiveInt
from .kmeans_naming import KMeansNaming

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task


@dataclass
class SsGmm(KMeansNaming):
    """Gaussian clusters that split and merge until their number fits, named by their means (Zhao et al., ICCV 2023).

    Features are projected to their principal components. Every class is a Gaussian with a normal-inverse-Wishart prior,
    whose covariance is that within the labelled IP classes and whose strength has the greatest evidence there. k-means
    with as many clusters as there are IP classes starts; then images are reassigned, and clusters split into two or
    merge, where the evidence under a Dirichlet process favours it, until nothing changes. With ``mixed`` the pool may
    have images of the IP classes too, which then are clusters with fixed members.

    GPC, the paper, learns the features together with the mixture, assigns images by probability and draws moves at
    random; here features are frozen, assignments are hard and moves deterministic. Clusters get names as in
    ``kmeans_naming``; the preset ``clusters`` leaves them without and takes a mixed pool, for the protocol
    ``discovery``.
    """

    needs = Needs(unlabeled=True, ip=True, vocabulary=True)
    paper = Paper(
        "Zhao et al.",
        "Learning Semi-supervised Gaussian Mixture Models for Generalized Category Discovery",
        "ICCV",
        2023,
        "https://arxiv.org/abs/2305.06144",
    )
    presets = {"paper": {}, "clusters": {"naming": "none", "mixed": True}}  # noqa: RUF012

    restarts: PositiveInt = 10
    """Restarts of k-means; the best one is used."""
    components: PositiveInt = 16
    """Principal components, of the IP and the pool's images."""
    concentration: PositiveFloat = 1.0
    """Of the Dirichlet process: larger values give more clusters."""
    mixed: bool = False
    """Whether the pool may contain images of the IP classes."""

    def __post_init__(self) -> None:
        if self.naming == "none":
            self.needs, self.text = Needs(unlabeled=True, ip=True), False

    def _cluster(self, task: Task, pool: Tensor) -> None:
        label = torch.unique(task.ip.label, return_inverse=True)[1]
        if len(label) <= len(label.unique()):
            raise MethodError("ss_gmm cannot estimate a covariance: no IP class has two images", "use kmeans_naming")
        known, rows = task.ip.features[:, 0].double(), pool.double()
        every = torch.cat([known, rows])
        centre = every.mean(dim=0)
        axes = torch.linalg.eigh((every - centre).T @ (every - centre)).eigenvectors[:, -self.components :]
        known, rows = (known - centre) @ axes, (rows - centre) @ axes
        count = min(len(label.unique()), len(rows))
        start = kmeans(rows, count, self.restarts, task.generator)[0]
        classes = [known[label == y] for y in label.unique()] if self.mixed else []
        found = split_and_merge(rows, start, prior_of(known, label, rows), classes, self.concentration)
        self.cluster_ = torch.unique(found, return_inverse=True)[1]
        self.mean_ = cluster_means(pool, self.cluster_[None], int(self.cluster_.max()) + 1)[0]

    def outcome(self) -> dict[str, Any]:
        """The estimated number of clusters."""
        return {"clusters": len(self.mean_)}


@hookimpl
def harness_method() -> type[SsGmm]:
    """Return the method."""
    return SsGmm
