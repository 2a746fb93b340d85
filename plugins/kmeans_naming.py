"""k-means naming: cluster means of the pool are matched one-to-one with prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from harness.errors import NotApplicable
from harness.hookspecs import hookimpl
from harness.matching import match
from harness.types.paper import Paper
from harness.types.task import Needs

from ._clustering import canonical_order, cluster_means, kmeans
from ._training import PositiveInt
from ._transductive import MIN_LOG_PROB, TransductiveMethod

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


@dataclass
class KMeansNaming(TransductiveMethod):
    """k-means clusters, named one-to-one by the similarity of their means and the prompts (MacQueen, 1967).

    Protocols that evaluate clusters use the preset ``clusters``: it finds the same clusters and needs no text tower.
    """

    needs = Needs(unlabeled=True, clusters=True, vocabulary=True)
    paper = Paper(
        "MacQueen",
        "Some methods for classification and analysis of multivariate observations",
        "Berkeley Symposium",
        1967,
    )
    presets = {"paper": {}, "clusters": {"naming": "none"}}  # noqa: RUF012

    restarts: PositiveInt = 10
    """Restarts of k-means; the best one is used."""
    naming: Literal["prompts", "none"] = "prompts"
    """How clusters get their names; without names there are no scores."""

    def __post_init__(self) -> None:
        if self.naming == "none":
            self.needs, self.text = Needs(unlabeled=True, clusters=True), False

    def fit(self, task: Task) -> Self:
        """Cluster the pool, and name it by the clusters."""
        if self.naming == "prompts":
            return super().fit(task)
        order = canonical_order(task.unlabeled.features[:, 0])
        self._cluster(task, task.unlabeled.features[order, 0])
        self.order_ = torch.argsort(order)
        self.name_ = torch.full((len(self.mean_),), -1)
        task.progress(1, 1)
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """As the base class.

        Raises:
            NotApplicable: the clusters have no names.
        """
        if self.naming == "none":
            raise NotApplicable("clusters without names give no scores: naming is none")
        return super().scores(images, vocabulary)

    def _cluster(self, task: Task, pool: Tensor) -> None:
        self.cluster_ = kmeans(pool, task.clusters, self.restarts, task.generator)[0]
        self.mean_ = cluster_means(pool, self.cluster_[None], task.clusters)[0]

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """Assign every image to the name of its cluster, or by zero-shot if the cluster has no name."""
        self._cluster(task, pool)
        self.name_ = self.match_names(task, pool, text)
        return self._by_cluster(self.cluster_, pool, text)

    def match_names(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(clusters,)`` names, -1 for none."""
        return match(self.mean_, text).columns

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """The name of the nearest cluster."""
        return self._by_cluster((image @ self.mean_.T).argmax(dim=1), image, text)

    def named(self) -> tuple[Tensor, Tensor]:
        """The clusters of k-means."""
        return self.cluster_, self.name_

    def _by_cluster(self, cluster: Tensor, image: Tensor, text: Tensor) -> Tensor:
        name = self.name_[cluster][:, None]
        zero_shot = torch.log_softmax(self.task_.logit_scale * image @ text.T, dim=1).clamp_min(MIN_LOG_PROB)
        # All other names keep zero-shot's order, below the chosen one.
        chosen = torch.arange(len(text), device=image.device) == name
        return torch.where(name < 0, zero_shot, torch.where(chosen, 0.0, zero_shot + MIN_LOG_PROB))

    def trainable(self) -> int:
        """Elements of the cluster means."""
        return self.mean_.numel()


@hookimpl
def harness_method() -> type[KMeansNaming]:
    """Return the method."""
    return KMeansNaming
