"""TransCLIP: the images of a pool are named together, as Gaussian classes on a graph of neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.inner import Inner, wrap
from harness.types.task import Needs

from ._choice import middle_of_best
from ._clusters import nearest
from ._training import Count, Weight, Whole
from ._transductive import LEAST, Transductive

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

Graph: TypeAlias = "tuple[Tensor, Tensor, Tensor]"
"""Weights, heads and tails of edges."""

SUPPORT_WEIGHTS = (0.002, 0.01, 0.02, 0.2)
"""Weights of the labelled images that are tried (gamma)."""

PAPER = {"pool": "test-unlabeled", "likelihood_weight": 1 / 50, "neighbour_weight": 1 / 3}
"""What the authors' code weighs with, on the images that it is asked about."""


class Known(NamedTuple):
    """Labelled images ``(m, d)`` and their assignments ``(m, k)``."""

    image: Tensor
    z: Tensor


@dataclass
class TransCLIP(Transductive):
    """Gaussian classes on a graph of neighbours, held to the text (Zanella et al., NeurIPS 2024).

    The zero-shot form: assignments z of the pool minimise the negative Gaussian log-likelihood with one shared
    diagonal covariance, minus the agreement of neighbours, plus the divergence from the text prediction (equation 2).
    Block by block: z (equation 5), the means, the covariance. Written from the paper, which leaves open what weighs
    what: its equation 2 divides the log-likelihood by the number of images, its equation 5 by nothing. The defaults
    are those of equation 5. Its authors' code, which made its figures, weighs the log-likelihood by 1/50 and takes the
    mean over neighbours where the equation has the sum; so does the preset ``paper``, in which the text has more say.

    The few-shot form (preset ``paper-few-shot``) knows the assignments of the support: they pull their neighbours,
    start the means, and count in means and covariance as gamma / |support| where the pool counts as 1 / |pool|. Gamma
    is chosen on the few-shot validation draw, of equals the middle one. On top of another method
    (``-p transclip.inner=tip_adapter``) that method's scores stand for the text prediction.
    """

    needs = Needs(unlabeled=True, vocabulary=True)
    seeded = False
    paper = "Zanella et al., NeurIPS 2024"
    presets = {"paper": PAPER, "paper-few-shot": PAPER | {"few_shot": True, "text_weight": 0.5}}  # noqa: RUF012

    inner: Inner | None = None
    """The method whose scores are the prediction to hold to; None is zero-shot."""
    few_shot: bool = False
    """Whether labelled images take part."""
    support_weight: Weight | None = None
    """Of the labelled images together, with the pool as 1 (gamma); None chooses it of ``SUPPORT_WEIGHTS``."""
    text_weight: Weight = 1.0
    """Of the divergence from the text prediction (lambda); the paper's is 0.5 with labelled images."""
    likelihood_weight: Weight = 1.0
    """Of the Gaussian log-likelihood."""
    neighbour_weight: Weight = 1.0
    """Of the agreement of neighbours."""
    neighbours: Whole = 3
    """Of an image, by cosine. Two images pull each other by the mean of both directions: all that equation 2 sees."""
    confident: Count = 8
    """Images that a class's mean starts from, weighted by the text prediction."""
    rounds: Count = 10
    """Updates of means and covariance; assignments are updated before, between and after them."""
    sweeps: Count = 5
    """Updates of the assignments each time."""

    def __post_init__(self) -> None:
        if self.few_shot:
            self.needs = replace(self.needs, support=True, validation=self.support_weight is None)
        if self.inner is not None:
            self.inner_ = wrap(self, self.inner)

    def base(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Scores of the inner method."""
        return super().base(image, vocabulary) if self.inner is None else self.inner_.scores(image, vocabulary)

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(n, k)`` log of the assignments."""
        if self.inner is not None:
            self.inner_.fit(task)
        prior, known = self._prior(pool), self._known(task, pool)
        near = self._graph(torch.cat([pool, known.image]))
        if not self.few_shot or self.support_weight is not None:
            return self._settled(pool, prior, known, near, self.support_weight or 0.0)
        image, label = task.validation.image[:, 0], task.validation.label
        found, right = [], []
        for weight in SUPPORT_WEIGHTS:
            found.append((self._settled(pool, prior, known, near, weight), self.mean_, self.variance_, weight))
            right.append(int((self.others(image, text).argmax(dim=1) == label).sum()))
        z, self.mean_, self.variance_, self.support_weight_ = found[middle_of_best(right)[0]]
        return z

    def outcome(self) -> dict[str, Any]:
        """The weight of the labelled images, where it was chosen, and what the inner method tells."""
        own = {"support_weight": self.support_weight_} if hasattr(self, "support_weight_") else {}
        return own if self.inner is None else own | {"inner": self.inner_.outcome()}

    def _prior(self, image: Tensor) -> Tensor:
        return torch.log_softmax(self.base(image, self.task_.vocabulary), dim=1)

    def _known(self, task: Task, pool: Tensor) -> Known:
        """The labelled images, none without the few-shot form."""
        if not self.few_shot:
            return Known(pool[:0], pool.new_zeros(0, len(task.names)))
        return Known(task.support.image[:, 0], F.one_hot(task.support.label, len(task.names)).to(pool.dtype))

    def _settled(self, pool: Tensor, prior: Tensor, known: Known, near: Graph, gamma: float) -> Tensor:
        """Log of the assignments ``(n, k)`` after all rounds, which leave means and covariance."""
        self.mean_ = self._start(pool, prior, known)
        self.variance_ = torch.full_like(pool[0], 1 / pool.shape[1])
        row, weight = torch.cat([pool, known.image]), pool.new_ones(len(pool) + len(known.image), 1)
        weight[len(pool) :] = gamma * len(pool) / max(1, len(known.image))
        z = self._assigned(pool, prior, near, torch.cat([prior.exp(), known.z]))
        for _ in range(self.rounds):
            share = weight * z
            size = share.sum(dim=0)[:, None]
            self.mean_ = torch.where(size > 1e-6, F.normalize(share.T @ row, dim=1), self.mean_)
            # Mean over images of the expected (x - mean)^2, multiplied out so that no (n, k, d) is needed.
            spread = row.square() - 2 * row * (z @ self.mean_) + z @ self.mean_.square()
            self.variance_ = ((weight * spread).sum(dim=0) / weight.sum()).clamp_min(1e-6)
            z = self._assigned(pool, prior, near, z)
        return z[: len(pool)].log().clamp_min(LEAST)

    def _start(self, pool: Tensor, prior: Tensor, known: Known) -> Tensor:
        """The means of the labelled images or, where a class has none, of the images that it is likeliest of."""
        best = prior.topk(min(self.confident, len(pool)), dim=0)
        likely = (best.values.softmax(dim=0)[..., None] * pool[best.indices]).sum(dim=0)
        total, count = known.z.T @ known.image, known.z.sum(dim=0)[:, None]
        return F.normalize(torch.where(count > 0, total, likely), dim=1)

    def _graph(self, row: Tensor) -> Graph:
        """Weights, heads and tails of the edges: every image and its neighbours, in both directions."""
        weight, index = nearest(row, self.neighbours) if len(row) > 1 else (row[:, :0], row[:, :0].long())
        own = torch.arange(len(row), device=row.device).repeat_interleave(index.shape[1])
        weight, other = weight.clamp_min(0).flatten() * self.neighbour_weight / 2, index.flatten()
        return torch.cat([weight, weight]), torch.cat([own, other]), torch.cat([other, own])

    def _assigned(self, pool: Tensor, prior: Tensor, near: Graph, z: Tensor) -> Tensor:
        """Assignments of pool and labelled images after so many sweeps from z; the latter stay."""
        n, (weight, head, tail) = len(pool), near
        fixed = torch.cat([self._posterior(pool, prior), torch.zeros_like(z[n:])])
        for _ in range(self.sweeps):
            pulled = fixed.index_add(0, head, weight[:, None] * z[tail])
            z = torch.cat([pulled[:n].softmax(dim=1), z[n:]])
        return z

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """Log posterior without neighbours."""
        return torch.log_softmax(self._posterior(image, self._prior(image)), dim=1).clamp_min(LEAST)

    def _posterior(self, image: Tensor, prior: Tensor) -> Tensor:
        """``(m, k)`` text and Gaussian log-likelihood, without what all classes share."""
        precision = 1 / self.variance_
        cross = (image * precision) @ self.mean_.T
        density = cross - 0.5 * (self.mean_.square() @ precision) - 0.5 * (image.square() @ precision)[:, None]
        return self.likelihood_weight * density + self.text_weight * prior

    def trainable(self) -> int:
        """Means and the covariance."""
        return self.mean_.numel() + self.variance_.numel()


@hookimpl
def harness_method() -> type[TransCLIP]:
    """Return the method."""
    return TransCLIP
