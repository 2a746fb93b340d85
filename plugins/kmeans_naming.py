"""Plain k-means naming: clusters of the pool, each named after the prompt that its mean is matched with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from harness.hookspecs import hookimpl
from harness.matching import match
from harness.types.task import Needs

from ._clusters import kmeans, means
from ._training import Count
from ._transductive import LEAST, Transductive

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task


@dataclass
class KMeansNaming(Transductive):
    """k-means clusters, named one-to-one by the similarity of their means and the prompts (MacQueen, 1967)."""

    needs = Needs(unlabeled=True, clusters=True, vocabulary=True)
    paper = "MacQueen, Berkeley Symposium 1967"
    presets = {"paper": {}}  # noqa: RUF012

    restarts: Count = 10
    """Of k-means; the one that fits best counts."""

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """Every image to the name of its cluster; one whose cluster has no name is left to the text."""
        self.cluster_ = kmeans(pool, task.clusters, self.restarts, task.generator)[0]
        self.mean_ = means(pool, self.cluster_[None], task.clusters)[0]
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
        zero_shot = torch.log_softmax(self.task_.logit_scale * image @ text.T, dim=1).clamp_min(LEAST)
        # LEAST apart from all others, yet what is left among these is the text's order.
        chosen = torch.arange(len(text), device=image.device) == name
        return torch.where(name < 0, zero_shot, torch.where(chosen, 0.0, zero_shot + LEAST))

    def trainable(self) -> int:
        """The cluster means."""
        return self.mean_.numel()


@hookimpl
def harness_method() -> type[KMeansNaming]:
    """Return the method."""
    return KMeansNaming
