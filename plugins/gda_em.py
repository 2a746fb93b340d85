"""GDA-EM: Gaussian classes of one shared covariance, fitted to an unlabeled pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._clustering import class_means
from ._training import NonNegativeFloat, NonNegativeInt, PositiveFloat
from ._transductive import MIN_LOG_PROB, TransductiveMethod

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task


@dataclass
class GdaEm(TransductiveMethod):
    """Gaussian classes of one shared covariance, fitted to the pool by EM (after Wang et al., ICLR 2024).

    The unsupervised form of ``gda``. Responsibilities R start at zero-shot's probabilities. A round takes the classes'
    R-weighted means m and sizes n, the covariance ``E = X'X / N - sum_c n_c / N m_c m_c'``, the precision
    ``K = inverse(E + eps trace(E) / d I)``, and ``R = softmax(zero-shot + alpha (x'K m - m'K m / 2 + log prior))``.
    The prior of a class is uniform by default, because an estimated one can starve classes. The paper describes the
    method without a released implementation: alpha, eps and the number of rounds are ours, on held-out images.
    """

    needs = Needs(unlabeled=True, vocabulary=True)
    seeded = False
    paper = Paper(
        "Wang et al.",
        "A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation",
        "ICLR",
        2024,
        "https://arxiv.org/abs/2402.04087",
    )
    presets = {"paper": {"pool": "test-unlabeled"}}  # noqa: RUF012 - read only

    alpha: NonNegativeFloat = 1.0
    """Weight of the Gaussian discriminant."""
    shrinkage: PositiveFloat = 1.0
    """Multiple of the mean variance on the covariance's diagonal (eps)."""
    covariance: Literal["pool", "ip"] = "pool"
    """Source of the covariance: the pool, or the pool and the labelled IP images around their class means."""
    prior: Literal["uniform", "estimated"] = "uniform"
    """Prior of a class: the same for all, or its share of the pool."""
    rounds: NonNegativeInt = 10
    """Rounds of EM; 0 is zero-shot."""

    def __post_init__(self) -> None:
        if self.covariance == "ip":
            self.needs = Needs(unlabeled=True, ip=True, vocabulary=True)

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(n, k)`` log responsibilities."""
        rows, scatter, count = pool.double(), 0.0, len(pool)
        if self.covariance == "ip":
            known = task.ip.features[:, 0].double()
            inside = known - class_means(known, task.ip.label)[task.ip.label]
            scatter, count = inside.T @ inside, count + len(known)
        zero_shot = self.base(pool, task.vocabulary)
        self.weight_, self.bias_ = torch.zeros_like(text), torch.zeros_like(text[:, 0])
        for _ in range(self.rounds):
            share = self._posterior(pool, zero_shot).softmax(dim=1).double()
            size = share.sum(dim=0)
            mean = share.T @ rows / size.clamp_min(1e-9)[:, None]
            covariance = (rows.T @ rows - mean.T @ (size[:, None] * mean) + scatter) / count
            covariance.diagonal().add_(self.shrinkage * covariance.trace() / len(covariance) + 1e-12)
            weight = torch.linalg.solve(covariance, mean.T).T
            bias = -(weight * mean).sum(dim=1) / 2
            if self.prior == "estimated":
                bias = bias + (size / len(pool)).clamp_min(1e-9).log()
            self.weight_, self.bias_ = weight.to(pool.dtype), bias.to(pool.dtype)
        found = torch.log_softmax(self._posterior(pool, zero_shot), dim=1).clamp_min(MIN_LOG_PROB)
        self.empty_ = len(text) - len(found.argmax(dim=1).unique())
        return found

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """The log posterior."""
        return torch.log_softmax(self._posterior(image, self.base(image, self.task_.vocabulary)), dim=1).clamp_min(
            MIN_LOG_PROB
        )

    def outcome(self) -> dict[str, Any]:
        """The number of names without an image of the pool."""
        return {"empty_names": self.empty_}

    def _posterior(self, image: Tensor, zero_shot: Tensor) -> Tensor:
        return zero_shot + self.alpha * (image @ self.weight_.T + self.bias_)

    def trainable(self) -> int:
        """Elements of the discriminant."""
        return self.weight_.numel() + self.bias_.numel()


@hookimpl
def harness_method() -> type[GdaEm]:
    """Return the method."""
    return GdaEm
