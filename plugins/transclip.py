"""TransCLIP: the images of a pool are named together, as Gaussian classes on a graph of neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.hookspecs import Register, hookimpl
from harness.types.task import Needs

from ._clusters import nearest
from ._training import Count, Weight, Whole
from ._transductive import LEAST, Transductive

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task


@dataclass
class TransCLIP(Transductive):
    """Gaussian classes on a graph of neighbours, held to the text (Zanella et al., NeurIPS 2024).

    The zero-shot form: assignments z of the pool minimise the negative Gaussian log-likelihood with one shared
    diagonal covariance, minus the agreement of neighbours, plus the divergence from the text prediction (equation 2).
    Block by block: z (equation 5), the means, the covariance. Written from the paper, which leaves open what weighs
    what: its equation 2 divides the log-likelihood by the number of images, its equation 5 by nothing. The defaults
    are those of equation 5. Its authors' code, which made its figures, weighs the log-likelihood by 1/50 and takes the
    mean over neighbours where the equation has the sum; so does the preset ``paper``, in which the text has more say.
    """

    needs = Needs(unlabeled=True, vocabulary=True)
    seeded = False
    paper = "Zanella et al., NeurIPS 2024"
    presets = {  # noqa: RUF012 - it names the images that it is asked about
        "paper": {"pool": "test-unlabeled", "likelihood_weight": 1 / 50, "neighbour_weight": 1 / 3}
    }

    text_weight: Weight = 1.0
    """Of the divergence from the text prediction (lambda)."""
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

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(n, k)`` log of the assignments."""
        prior = torch.log_softmax(task.logit_scale * pool @ text.T, dim=1)
        near, best = self._graph(pool), prior.topk(min(self.confident, len(pool)), dim=0)
        self.mean_ = F.normalize((best.values.softmax(dim=0)[..., None] * pool[best.indices]).sum(dim=0), dim=1)
        self.variance_ = torch.full_like(pool[0], 1 / pool.shape[1])
        z = self._assigned(pool, prior, near, prior.exp())
        for _ in range(self.rounds):
            size = z.sum(dim=0)[:, None]
            self.mean_ = torch.where(size > 1e-6, F.normalize(z.T @ pool, dim=1), self.mean_)
            # Mean over images of the expected (x - mean)^2, multiplied out so that no (n, k, d) is needed.
            spread = pool.square() - 2 * pool * (z @ self.mean_) + z @ self.mean_.square()
            self.variance_ = spread.mean(dim=0).clamp_min(1e-6)
            z = self._assigned(pool, prior, near, z)
        return z.log().clamp_min(LEAST)

    def _graph(self, pool: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, heads and tails of the edges: every image and its neighbours, in both directions."""
        weight, index = nearest(pool, self.neighbours) if len(pool) > 1 else (pool[:, :0], pool[:, :0].long())
        own = torch.arange(len(pool), device=pool.device).repeat_interleave(index.shape[1])
        weight, other = weight.clamp_min(0).flatten() * self.neighbour_weight / 2, index.flatten()
        return torch.cat([weight, weight]), torch.cat([own, other]), torch.cat([other, own])

    def _assigned(self, pool: Tensor, prior: Tensor, near: tuple[Tensor, Tensor, Tensor], z: Tensor) -> Tensor:
        """Assignments ``(n, k)`` after so many sweeps from z."""
        fixed, (weight, head, tail) = self._posterior(pool, prior), near
        for _ in range(self.sweeps):
            z = fixed.index_add(0, head, weight[:, None] * z[tail]).softmax(dim=1)
        return z

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """Log posterior without neighbours."""
        prior = torch.log_softmax(self.task_.logit_scale * image @ text.T, dim=1)
        return torch.log_softmax(self._posterior(image, prior), dim=1).clamp_min(LEAST)

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
def harness_register_methods(register: Register) -> None:
    """Offer the method."""
    register("transclip", TransCLIP)
