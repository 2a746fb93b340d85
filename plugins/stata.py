"""StatA: Gaussian classes of a pool, anchored to the text so that absent classes stay where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._neighbour_graph import Graph
from ._training import NonNegativeFloat, NonNegativeInt, PositiveInt
from ._transductive import MIN_LOG_PROB, TransductiveMethod

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task

LEAST_VARIANCE = 1e-6


@dataclass
class StatA(TransductiveMethod):
    """Gaussian classes anchored to the statistics of the text (Zanella et al., CVPR 2025).

    Assignments z, means mu and diagonal covariances v of the classes are updated in turn. With p the zero-shot
    probabilities, ``n_k = sum_i z_ik`` and ``b_k = n_k / (n_k + anchor)``:
    ``z_i = softmax(log p_i + log N(x_i; mu, v) + sum_j w_ij z_j)``,
    ``mu_k = b_k * weighted mean + (1 - b_k) t_k`` and
    ``v_k = b_k * scatter about mu_k + (1 - b_k) * (v'_k + (t_k - mu_k)^2)``,
    where v'_k is the scatter about t_k weighted by p, and w the non-negative cosines of nearest neighbours. A class
    without images in the pool stays at its text, so the pool may contain any number of the names.

    Written from the paper; its code was not read, so the number of neighbours, rounds and sweeps are TransCLIP's.
    """

    needs = Needs(unlabeled=True, vocabulary=True)
    seeded = False
    paper = Paper(
        "Zanella et al.",
        "Realistic Test-Time Adaptation of Vision-Language Models",
        "CVPR",
        2025,
        "https://arxiv.org/abs/2501.03729",
    )
    presets = {"paper": {"pool": "test-unlabeled", "likelihood_weight": 1.0}}  # noqa: RUF012 - read only

    anchor: NonNegativeFloat = 1.0
    """Images that the text counts for (alpha)."""
    likelihood_weight: NonNegativeFloat = 1.0
    """Weight of the Gaussian log-likelihood."""
    neighbours: NonNegativeInt = 3
    """Nearest neighbours of an image, by cosine."""
    rounds: PositiveInt = 10
    """Updates of means and covariances."""
    sweeps: PositiveInt = 5
    """Sweeps of each assignment update."""

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(n, k)`` log assignments."""
        prior = (task.logit_scale * pool @ text.T).log_softmax(dim=1)
        anchored = _scatter(pool, prior.exp(), text)
        self.mean_, self.variance_ = text, anchored.clamp_min(LEAST_VARIANCE)
        near, z = Graph.of_neighbours(pool, self.neighbours), prior.exp()
        for _ in range(self.rounds):
            unary = self._unary(pool, text)
            for _ in range(self.sweeps):
                z = near.pull(z, unary).softmax(dim=1)
            size = z.sum(dim=0)[:, None]
            share = size / (size + self.anchor).clamp_min(1e-12)
            mean = z.T @ pool / size.clamp_min(1e-12)
            self.mean_ = share * mean + (1 - share) * text
            held = anchored + (text - self.mean_).square()
            variance = share * _scatter(pool, z, self.mean_) + (1 - share) * held
            self.variance_ = variance.clamp_min(LEAST_VARIANCE)
        return z.log().clamp_min(MIN_LOG_PROB)

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """Log posterior without the neighbour term."""
        return self._unary(image, text).log_softmax(dim=1).clamp_min(MIN_LOG_PROB)

    def _unary(self, image: Tensor, text: Tensor) -> Tensor:
        """``(m, k)`` zero-shot scores and weighted Gaussian log-likelihood, without terms common to all classes."""
        precision = 1 / self.variance_
        distance = image.square() @ precision.T - 2 * image @ (precision * self.mean_).T
        fixed = (precision * self.mean_.square() - precision.log()).sum(dim=1)
        density = -(distance + fixed) / 2
        return self.task_.logit_scale * image @ text.T + self.likelihood_weight * density

    def trainable(self) -> int:
        """Elements of means and covariances."""
        return self.mean_.numel() + self.variance_.numel()


def _scatter(image: Tensor, weight: Tensor, centre: Tensor) -> Tensor:
    """``(k, d)`` weighted mean of the squared deviations of images ``(n, d)`` from the centres ``(k, d)``."""
    size = weight.sum(dim=0)[:, None].clamp_min(1e-12)
    mean, square = weight.T @ image / size, weight.T @ image.square() / size
    return square - 2 * centre * mean + centre.square()


@hookimpl
def harness_method() -> type[StatA]:
    """Return the method."""
    return StatA
