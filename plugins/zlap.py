"""ZLaP: labels are propagated from the names to the images of a pool, along nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._clustering import nearest_neighbours
from ._neighbour_graph import Graph, propagate
from ._training import NonNegativeFloat, PositiveInt
from ._transductive import MIN_LOG_PROB, TransductiveMethod

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task


@dataclass
class ZLaP(TransductiveMethod):
    """Label propagation between names and images on one graph of neighbours (Stojnić et al., CVPR 2024).

    The nodes are the images of the pool and the names. An image is linked to its nearest images, with their cosine, and
    to its nearest names, with ``cosine^power``, negative cosines being zero; both directions are added. With
    ``A = D^-1/2 W D^-1/2`` the scores of class c are ``(I - share * A)^-1 e_c``, by conjugate gradient. An image
    outside of the pool is linked in the same way and takes the mean of its neighbours' scores, without changing them.
    Scores are logarithms, each row divided by its sum.

    The authors count an image among its own nearest ones, so that five neighbours are four others; so does this.
    """

    needs = Needs(unlabeled=True, vocabulary=True)
    seeded = False
    paper = Paper(
        "Stojnić et al.",
        "Label Propagation for Zero-shot Classification with Vision-Language Models",
        "CVPR",
        2024,
        "https://arxiv.org/abs/2404.04072",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {"pool": "test-unlabeled", "neighbours": 5, "power": 5.0, "share": 0.3}
    }

    neighbours: PositiveInt = 5
    """Nearest images of an image, itself included, and its nearest names."""
    power: NonNegativeFloat = 5.0
    """Exponent of the cosine between image and name (gamma)."""
    share: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """How much of a score comes from neighbours (alpha)."""

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(n, k)`` log scores."""
        nodes = len(pool) + len(text)
        others = min(self.neighbours - 1, len(pool) - 1)
        weight, index = nearest_neighbours(pool, others) if others > 0 else (pool[:, :0], pool[:, :0].long())
        to_names, name = self._names(pool, text)
        links = torch.cat([weight.clamp_min(0), to_names], dim=1)
        own = torch.arange(len(pool), device=pool.device).repeat_interleave(links.shape[1])
        graph = Graph.symmetric(links.flatten(), own, torch.cat([index, len(pool) + name], dim=1).flatten())
        graph, self.root_ = graph.normalised(nodes)
        start = torch.eye(nodes, dtype=pool.dtype, device=pool.device)[:, len(pool) :]
        self.found_ = propagate(graph, start, self.share)
        return _log_rows(self.found_[: len(pool)])

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """The mean of the neighbours' scores."""
        pool, scaled = self.pool_, self.root_[:, None] * self.found_
        near = (image @ pool.T).topk(min(self.neighbours, len(pool)), dim=1)
        weight, name = self._names(image, text)
        found = (near.values.clamp_min(0)[..., None] * scaled[near.indices]).sum(dim=1)
        return _log_rows(found + (weight[..., None] * scaled[len(pool) + name]).sum(dim=1))

    def _names(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and positions ``(m, n)`` of the nearest names of images ``(m, d)``."""
        near = (image @ text.T).topk(min(self.neighbours, len(text)), dim=1)
        return near.values.clamp_min(0) ** self.power, near.indices

    def trainable(self) -> int:
        """Elements of the propagated scores."""
        return self.found_.numel()


def _log_rows(scores: Tensor) -> Tensor:
    """Logarithms of scores ``(m, k)``, each row divided by its sum; a row of zeros favours no name."""
    scores = scores.clamp_min(0)
    return (scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-30)).log().clamp_min(MIN_LOG_PROB)


@hookimpl
def harness_method() -> type[ZLaP]:
    """Return the method."""
    return ZLaP
