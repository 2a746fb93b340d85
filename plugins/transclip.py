"""TransCLIP: transductive inference with Gaussian classes on a nearest-neighbour graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.inner_method import Inner, wrap
from harness.types.images import Images
from harness.types.paper import Paper
from harness.types.task import Needs

from ._grid_search import middle_of_best
from ._neighbour_graph import Graph
from ._training import NonNegativeFloat, NonNegativeInt, PositiveInt
from ._transductive import MIN_LOG_PROB, TransductiveMethod

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

SUPPORT_WEIGHTS = (0.002, 0.01, 0.02, 0.2)
"""Candidate weights of the labelled images (gamma)."""

PAPER = {"pool": "test-unlabeled", "likelihood_weight": 1 / 50, "neighbour_weight": 1 / 3}
"""Weights of the authors' code, with the scored images as the pool."""


class Known(NamedTuple):
    """Labelled images ``(m, d)`` and their assignments ``(m, k)``."""

    image: Tensor
    z: Tensor


@dataclass
class TransCLIP(TransductiveMethod):
    """Gaussian classes on a graph of neighbours, held to the text (Zanella et al., NeurIPS 2024).

    Zero-shot form: assignments z of the pool minimise the negative Gaussian log-likelihood with one shared diagonal
    covariance, minus the agreement of neighbours, plus the divergence from the text prediction (equation 2), by block
    updates of z (equation 5), the means and the covariance. The paper's weights are ambiguous: equation 2 divides the
    log-likelihood by the number of images, equation 5 does not. The defaults follow equation 5. The preset ``paper``
    follows the authors' code, which made the published figures: it weights the log-likelihood by 1/50 and averages over
    neighbours where the equation sums, so the text has more weight.

    Few-shot form (preset ``paper-few-shot``): the assignments of the support are fixed. They act on their neighbours,
    initialise the means, and count in means and covariance as gamma / |support| where the pool counts as 1 / |pool|.
    Gamma is chosen on the few-shot validation draw, ties to the middle. With an inner method
    (``-p transclip.inner=tip_adapter``) its scores replace the text prediction.
    """

    needs = Needs(unlabeled=True, vocabulary=True)
    seeded = False
    paper = Paper(
        "Zanella et al.",
        "Boosting Vision-Language Models with Transduction",
        "NeurIPS",
        2024,
        "https://arxiv.org/abs/2406.01837",
    )
    presets = {"paper": PAPER, "paper-few-shot": PAPER | {"few_shot": True, "text_weight": 0.5}}  # noqa: RUF012

    inner: Inner | None = None
    """Method whose scores replace the text prediction; None: zero-shot."""
    few_shot: bool = False
    """Use the labelled support images."""
    support_weight: NonNegativeFloat | None = None
    """Total weight of the labelled images relative to the pool (gamma); None: chosen from ``SUPPORT_WEIGHTS``."""
    text_weight: NonNegativeFloat = 1.0
    """Weight of the divergence from the text prediction (lambda); the paper has 0.5 with labelled images."""
    likelihood_weight: NonNegativeFloat = 1.0
    """Weight of the Gaussian log-likelihood."""
    neighbour_weight: NonNegativeFloat = 1.0
    """Weight of the agreement of neighbours."""
    neighbours: NonNegativeInt = 3
    """Nearest neighbours of an image, by cosine; the graph is symmetrised by the mean of both directions."""
    confident: PositiveInt = 8
    """Images that initialise a class mean, weighted by the text prediction."""
    rounds: PositiveInt = 10
    """Updates of means and covariance; assignments are updated before, between and after them."""
    sweeps: PositiveInt = 5
    """Sweeps of each assignment update."""

    def __post_init__(self) -> None:
        if self.few_shot:
            self.needs = replace(self.needs, support=True, validation=self.support_weight is None)
        if self.inner is not None:
            self.inner_ = wrap(self, self.inner)

    def base(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Scores of the inner method, or zero-shot."""
        return (
            super().base(image, vocabulary) if self.inner is None else self.inner_.scores(Images.of(image), vocabulary)
        )

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(n, k)`` log assignments."""
        if self.inner is not None:
            self.inner_.fit(task)
        prior, known = self._prior(pool), self._known(task, pool)
        near = self._graph(torch.cat([pool, known.image]))
        if not self.few_shot or self.support_weight is not None:
            return self._settled(pool, prior, known, near, self.support_weight or 0.0)
        image, label = task.validation.features[:, 0], task.validation.label
        found, right = [], []
        for weight in SUPPORT_WEIGHTS:
            found.append((self._settled(pool, prior, known, near, weight), self.mean_, self.variance_, weight))
            right.append(int((self.others(image, text).argmax(dim=1) == label).sum()))
        z, self.mean_, self.variance_, self.support_weight_ = found[middle_of_best(right)[0]]
        return z

    def outcome(self) -> dict[str, Any]:
        """The chosen weight of the labelled images, and the outcome of the inner method."""
        own = {"support_weight": self.support_weight_} if hasattr(self, "support_weight_") else {}
        return own if self.inner is None else own | {"inner": self.inner_.outcome()}

    def _prior(self, image: Tensor) -> Tensor:
        return torch.log_softmax(self.base(image, self.task_.vocabulary), dim=1)

    def _known(self, task: Task, pool: Tensor) -> Known:
        """The labelled images; empty in the zero-shot form."""
        if not self.few_shot:
            return Known(pool[:0], pool.new_zeros(0, len(task.names)))
        return Known(task.support.features[:, 0], F.one_hot(task.support.label, len(task.names)).to(pool.dtype))

    def _settled(self, pool: Tensor, prior: Tensor, known: Known, near: Graph, gamma: float) -> Tensor:
        """Run all rounds; returns the log assignments ``(n, k)`` and sets means and covariance."""
        self.mean_ = self._start(pool, prior, known)
        self.variance_ = torch.full_like(pool[0], 1 / pool.shape[1])
        row, weight = torch.cat([pool, known.image]), pool.new_ones(len(pool) + len(known.image), 1)
        weight[len(pool) :] = gamma * len(pool) / max(1, len(known.image))
        z = self._assigned(pool, prior, near, torch.cat([prior.exp(), known.z]))
        for _ in range(self.rounds):
            share = weight * z
            size = share.sum(dim=0)[:, None]
            self.mean_ = torch.where(size > 1e-6, F.normalize(share.T @ row, dim=1), self.mean_)
            # Mean over images of the expected (x - mean)^2, expanded to avoid an (n, k, d) tensor.
            spread = row.square() - 2 * row * (z @ self.mean_) + z @ self.mean_.square()
            self.variance_ = ((weight * spread).sum(dim=0) / weight.sum()).clamp_min(1e-6)
            z = self._assigned(pool, prior, near, z)
        return z[: len(pool)].log().clamp_min(MIN_LOG_PROB)

    def _start(self, pool: Tensor, prior: Tensor, known: Known) -> Tensor:
        """Initial means: of the labelled images or, for a class without any, of its most confident pool images."""
        best = prior.topk(min(self.confident, len(pool)), dim=0)
        likely = (best.values.softmax(dim=0)[..., None] * pool[best.indices]).sum(dim=0)
        total, count = known.z.T @ known.image, known.z.sum(dim=0)[:, None]
        return F.normalize(torch.where(count > 0, total, likely), dim=1)

    def _graph(self, row: Tensor) -> Graph:
        """Edges between every image and its neighbours, in both directions."""
        graph = Graph.of_neighbours(row, self.neighbours)
        return graph._replace(weight=graph.weight * self.neighbour_weight)

    def _assigned(self, pool: Tensor, prior: Tensor, near: Graph, z: Tensor) -> Tensor:
        """Assignments after all sweeps from z; those of labelled images are fixed."""
        n = len(pool)
        fixed = torch.cat([self._posterior(pool, prior), torch.zeros_like(z[n:])])
        for _ in range(self.sweeps):
            pulled = near.pull(z, fixed)
            z = torch.cat([pulled[:n].softmax(dim=1), z[n:]])
        return z

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """Log posterior without the neighbour term."""
        return torch.log_softmax(self._posterior(image, self._prior(image)), dim=1).clamp_min(MIN_LOG_PROB)

    def _posterior(self, image: Tensor, prior: Tensor) -> Tensor:
        """``(m, k)`` weighted text and Gaussian log-likelihood, without terms common to all classes."""
        precision = 1 / self.variance_
        cross = (image * precision) @ self.mean_.T
        density = cross - 0.5 * (self.mean_.square() @ precision) - 0.5 * (image.square() @ precision)[:, None]
        return self.likelihood_weight * density + self.text_weight * prior

    def trainable(self) -> int:
        """Elements of means and covariance."""
        return self.mean_.numel() + self.variance_.numel()


@hookimpl
def harness_method() -> type[TransCLIP]:
    """Return the method."""
    return TransCLIP
