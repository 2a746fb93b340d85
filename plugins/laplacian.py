"""LaplacianShot: few-shot prototypes, and neighbours in the pool that get the same name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._clustering import class_means, nearest_neighbours
from ._training import NonNegativeFloat, NonNegativeInt, PositiveInt
from ._transductive import MIN_LOG_PROB, TransductiveMethod

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task

PAPER = {"pool": "test-unlabeled", "text_weight": 0.0, "distance_weight": 1.0, "neighbour_weight": 1.0, "rounds": 1}
ZERO_SHOT = {"few_shot": False, "text_weight": 1.0, "neighbour_weight": 1.0, "rounds": 5}


@dataclass
class Laplacian(TransductiveMethod):
    """Few-shot prototypes, smoothed over a graph of the pool's nearest neighbours (Ziko et al., ICML 2020).

    Assignments y minimise ``sum_i y_i . (u_i + log y_i) - lambda / 2 sum_ij w_ij y_i . y_j`` by the bound updates
    ``y_i <- softmax(-u_i + lambda sum_j w_ij y_j)`` of all images at once. w is 1 for the nearest neighbours. The unary
    ``u = distance_weight |x - m|^2 - text_weight log p(text)`` has the distances to the prototypes m, with features
    centred by the pool's mean and normalised again (in the paper by that of base classes). More than one round
    re-estimates m as the mean of the assigned pool and the support (Ziko et al., arXiv 2106.09516). An image outside of
    the pool takes one update with its neighbours in the pool.

    The preset ``paper`` is the few-shot method of the paper, without text; lambda, which the authors choose on
    validation classes, is 1. Left out is their shift of the pool's mean to that of the support. The preset
    ``zero-shot`` sees no labelled image: its first unary is the text's alone. With ``neighbour_weight=0`` and several
    rounds it is soft k-means.
    """

    needs = Needs(support=True, unlabeled=True)
    seeded = False
    paper = Paper(
        "Ziko et al.",
        "Laplacian Regularized Few-Shot Learning",
        "ICML",
        2020,
        "https://arxiv.org/abs/2006.15486",
    )
    presets = {"paper": PAPER, "zero-shot": ZERO_SHOT}  # noqa: RUF012 - read only

    few_shot: bool = True
    """Use the labelled support images."""
    text_weight: NonNegativeFloat = 0.1
    """Weight of the text's negative log-probability."""
    distance_weight: NonNegativeFloat = 10.0
    """Weight of the squared distance to the prototype."""
    neighbour_weight: NonNegativeFloat = 0.3
    """Weight of the neighbours' assignments (lambda)."""
    neighbours: NonNegativeInt = 3
    """Nearest neighbours of an image, by cosine."""
    rounds: PositiveInt = 1
    """Estimates of the prototypes."""
    sweeps: PositiveInt = 20
    """Updates of the assignments in a round."""

    def __post_init__(self) -> None:
        if not self.few_shot:
            self.needs = Needs(unlabeled=True, vocabulary=True)

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(n, k)`` log assignments."""
        self.centre_ = pool.mean(dim=0) if len(pool) > 1 else pool.new_zeros(pool.shape[1])
        rows, names = self._centred(pool), len(text)
        label = task.support.label if self.few_shot else torch.arange(0, device=pool.device)
        support = self._centred(task.support.features[:, 0]) if self.few_shot else rows[:0]
        self.prototype_ = class_means(support, label, names) if self.few_shot else None
        near = nearest_neighbours(pool, self.neighbours)[1] if len(pool) > 1 else label.new_zeros(len(pool), 0)
        known = F.one_hot(label, names).to(pool.dtype)
        for last in range(self.rounds - 1, -1, -1):
            unary = self._unary(pool)
            self.plan_ = unary.softmax(dim=1)
            for _ in range(self.sweeps):
                self.plan_ = self._pulled(unary, near).softmax(dim=1)
            if last:
                size = self.plan_.sum(dim=0) + known.sum(dim=0)
                self.prototype_ = (self.plan_.T @ rows + known.T @ support) / size[:, None].clamp_min(1e-9)
        return self.plan_.log().clamp_min(MIN_LOG_PROB)

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """One update with the neighbours in the pool."""
        near = (image @ self.pool_.T).topk(min(self.neighbours, len(self.pool_)), dim=1).indices
        return self._pulled(self._unary(image), near).log_softmax(dim=1).clamp_min(MIN_LOG_PROB)

    def outcome(self) -> dict[str, Any]:
        """The number of names without an image of the pool."""
        found = torch.bincount(self.plan_.argmax(dim=1), minlength=self.plan_.shape[1])
        return {"empty_names": int((found == 0).sum())}

    def _centred(self, image: Tensor) -> Tensor:
        return F.normalize(image - self.centre_, dim=1)

    def _unary(self, image: Tensor) -> Tensor:
        """``(m, k)`` negative unary."""
        found = self.text_weight * torch.log_softmax(self.base(image, self.task_.vocabulary), dim=1)
        if self.prototype_ is None:
            return found
        return found - self.distance_weight * torch.cdist(self._centred(image), self.prototype_).square()

    def _pulled(self, unary: Tensor, near: Tensor) -> Tensor:
        return unary + self.neighbour_weight * self.plan_[near].sum(dim=1)

    def trainable(self) -> int:
        """Elements of the prototypes."""
        return 0 if self.prototype_ is None else self.prototype_.numel()


@hookimpl
def harness_method() -> type[Laplacian]:
    """Return the method."""
    return Laplacian
