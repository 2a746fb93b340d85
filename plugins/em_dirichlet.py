"""EM-Dirichlet: the probability vectors of a pool are clustered as Dirichlet distributions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._cluster_matching import assign_names
from ._clustering import class_means
from ._training import NonNegativeFloat, PositiveFloat, PositiveInt
from ._transductive import MIN_LOG_PROB, TransductiveMethod

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task

PAPER = {"pool": "test-unlabeled", "scale": 30.0, "complexity": None, "rounds": 20, "steps": 1000}

SETTLED = 1e-5
"""Largest relative change of a concentration at which the inner iteration ends."""


@dataclass
class EMDirichlet(TransductiveMethod):
    """Expectation maximisation over Dirichlet classes of probability vectors (Martin et al., CVPR 2024).

    With ``p_i = softmax(scale * x_i t)``, concentrations a and assignments u, updates alternate: a_k maximises the
    likelihood of the p_i weighted by u_ik, by a fixed-point iteration that keeps it positive; then
    ``u_i = softmax(log Dir(p_i; a) + complexity * log(mean_i u_i))``: the last term draws images to large classes, so
    few classes are used. A hard cluster and a name are matched one-to-one by the cluster's mean p. With labelled images
    (preset ``paper-few-shot``) those count in a with fixed assignments, and nothing is matched.

    The authors take ``floor(K / 5)`` as the complexity for K names, for tasks of 75 images of few classes; where all
    names have images in the pool, classes vanish. The default is chosen for such pools.
    """

    needs = Needs(unlabeled=True, vocabulary=True)
    seeded = False
    paper = Paper(
        "Martin et al.",
        "Transductive Zero-Shot and Few-Shot CLIP",
        "CVPR",
        2024,
        "https://arxiv.org/abs/2405.18437",
    )
    presets = {"paper": PAPER, "paper-few-shot": PAPER | {"few_shot": True}}  # noqa: RUF012 - read only

    few_shot: bool = False
    """Use the labelled support images."""
    scale: PositiveFloat = 30.0
    """Scale of the cosines in p."""
    complexity: NonNegativeFloat | None = 1.0
    """Weight of the classes' shares; None: the paper's, a fifth of the number of names, rounded down."""
    rounds: PositiveInt = 20
    """Updates of concentrations and assignments."""
    steps: PositiveInt = 100
    """Iterations of a concentration at most; fewer if it settles."""

    def __post_init__(self) -> None:
        if self.few_shot:
            self.needs = replace(self.needs, support=True)

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(n, k)`` log assignments."""
        log_p, k = self._log_p(pool, text), len(text)
        known, label = log_p[:0], torch.zeros(0, dtype=torch.long, device=pool.device)
        if self.few_shot:
            known, label = self._log_p(task.support.features[:, 0], text), task.support.label
        fixed = F.one_hot(label, k).to(pool.dtype)
        rows, u = torch.cat([log_p, known]), log_p.exp()
        self.concentration_ = torch.ones_like(text[:, :1]).expand(k, k)
        for _ in range(self.rounds):
            weight = torch.cat([u, fixed])
            mean = weight.T @ rows / weight.sum(dim=0)[:, None].clamp_min(1e-12)
            there = weight.sum(dim=0)[:, None] > 1e-6
            found = dirichlet(mean, self.concentration_, self.steps)
            self.concentration_ = torch.where(there, found, self.concentration_)
            share = u.mean(dim=0).clamp_min(1e-12)
            self.bias_ = (k // 5 if self.complexity is None else self.complexity) * share.log()
            u = self._posterior(log_p).softmax(dim=1)
        name = torch.arange(k, device=pool.device) if self.few_shot else self._named(log_p, u)
        self.order_of_ = torch.argsort(name)
        return u.log().clamp_min(MIN_LOG_PROB)[:, self.order_of_]

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """Log posterior of the fitted distributions."""
        posterior = self._posterior(self._log_p(image, text)).log_softmax(dim=1)
        return posterior.clamp_min(MIN_LOG_PROB)[:, self.order_of_]

    def trainable(self) -> int:
        """Elements of the concentrations."""
        return self.concentration_.numel()

    def _log_p(self, image: Tensor, text: Tensor) -> Tensor:
        return (self.scale * image @ text.T).log_softmax(dim=1)

    def _posterior(self, log_p: Tensor) -> Tensor:
        """``(m, k)`` log density of each class, and the term of its share."""
        a = self.concentration_
        norm = torch.lgamma(a.sum(dim=1)) - torch.lgamma(a).sum(dim=1)
        return log_p @ (a - 1).T + norm + self.bias_

    @staticmethod
    def _named(log_p: Tensor, u: Tensor) -> Tensor:
        """``(k,)`` the name of each class."""
        return assign_names(class_means(log_p.exp(), u.argmax(dim=1), u.shape[1]))


def dirichlet(mean: Tensor, start: Tensor, steps: int) -> Tensor:
    """Concentrations ``(c, k)`` of greatest likelihood for mean log-probabilities ``(c, k)``.

    Each step maximises a lower bound of the likelihood (Martin et al., 2024, proposition 1): with
    ``c = 2 (a psi(a + 1) - lgamma(a + 1)) / a^2`` and ``b = psi(a + 1) - psi(sum a) - c a - mean`` it takes
    ``a = (-b + sqrt(b^2 + 4 c)) / (2 c)``, which is positive.
    """
    a = start
    for _ in range(steps):
        psi = torch.digamma(a + 1)
        curve = 2 * (a * psi - torch.lgamma(a + 1)) / a.square()
        curve = torch.where(a > 1e-3, curve, torch.full_like(a, torch.pi**2 / 6))  # the limit at zero
        slope = psi - torch.digamma(a.sum(dim=1, keepdim=True)) - curve * a - mean
        before, a = a, (-slope + (slope.square() + 4 * curve).sqrt()) / (2 * curve)
        if bool(((a - before).abs() <= SETTLED * before).all()):
            break
    return a


@hookimpl
def harness_method() -> type[EMDirichlet]:
    """Return the method."""
    return EMDirichlet
