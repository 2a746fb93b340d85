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
    diagonal covariance, minus the agreement of neighbours, plus the divergence from the text prediction. Block by
    block: z, the means, the covariance. Written from the paper.
    """

    needs = Needs(unlabeled=True, vocabulary=True)
    paper = "Zanella et al., NeurIPS 2024"
    presets = {"paper": {"pool": "test-unlabeled"}}  # noqa: RUF012 - it names the images that it is asked about

    text_weight: Weight = 1.0
    """Of the divergence from the text prediction (lambda)."""
    neighbours: Whole = 3
    confident: Count = 8
    """Images that a class's mean starts from."""
    rounds: Count = 10
    sweeps: Count = 5
    """Updates of the assignments in each round."""

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(n, k)`` log of the assignments."""
        prior = torch.log_softmax(task.logit_scale * pool @ text.T, dim=1)
        weight, index = nearest(pool, self.neighbours) if len(pool) > 1 else (pool[:, :0], pool[:, :0].long())
        weight = weight.clamp_min(0)
        best = prior.topk(min(self.confident, len(pool)), dim=0).indices  # (confident, k)
        self.mean_ = F.normalize(pool[best].mean(dim=0), dim=1)
        self.variance_ = torch.full_like(pool[0], 1 / pool.shape[1])
        z = prior.exp()
        for _ in range(self.rounds):
            fixed = self._log_density(pool) + self.text_weight * prior
            for _ in range(self.sweeps):
                log_z = torch.log_softmax(fixed + (weight[..., None] * z[index]).sum(dim=1), dim=1)
                z = log_z.exp()
            size = z.sum(dim=0)[:, None]
            self.mean_ = torch.where(size > 1e-6, F.normalize(z.T @ pool, dim=1), self.mean_)
            # Mean over images of the expected (x - mean)^2, multiplied out so that no (n, k, d) is needed.
            spread = pool.square() - 2 * pool * (z @ self.mean_) + z @ self.mean_.square()
            self.variance_ = spread.mean(dim=0).clamp_min(1e-6)
        return log_z.clamp_min(LEAST)

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """Log posterior without neighbours."""
        prior = torch.log_softmax(self.task_.logit_scale * image @ text.T, dim=1)
        return torch.log_softmax(self._log_density(image) + self.text_weight * prior, dim=1).clamp_min(LEAST)

    def _log_density(self, image: Tensor) -> Tensor:
        """``(m, k)`` Gaussian log-likelihoods, without the constant that all classes share."""
        precision = 1 / self.variance_
        cross = (image * precision) @ self.mean_.T
        return cross - 0.5 * (self.mean_.square() @ precision) - 0.5 * (image.square() @ precision)[:, None]

    def trainable(self) -> int:
        """Means and the covariance."""
        return self.mean_.numel() + self.variance_.numel()


@hookimpl
def harness_register_methods(register: Register) -> None:
    """Offer the method."""
    register("transclip", TransCLIP)
