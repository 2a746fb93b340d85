"""Label propagation: names and labelled images spread over graphs of the pool's neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._clustering import canonical_order, nearest_neighbours
from ._neighbour_graph import Graph, propagate
from ._training import NonNegativeFloat, PositiveInt
from ._transductive import MIN_LOG_PROB, TransductiveMethod

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task


@dataclass
class GraphLP(TransductiveMethod):
    """Label propagation on neighbour graphs, one for each view of an image (after Fu et al., TPAMI 2015).

    The views are the image features, the text's probabilities of all names and, if given, the features of a second
    encoder. Nodes are the pool, the support and the names; images are linked to their nearest images by
    ``max(cosine, 0) ** power``, a name to its nearest images. With S the symmetrically normalised weights and Y one for
    names and support, ``F = (I - alpha S)^-1 Y``; the scores are the log of the mean over views of F, with rows that
    sum to one. An image outside of the pool takes the weighted mean of its neighbours in the first view.

    The paper embeds the views by CCA with eigenvalue weights and adds hyperedges; both are left out.
    """

    needs = Needs(support=True, unlabeled=True)
    seeded = False
    paper = Paper(
        "Fu et al.",
        "Transductive Multi-view Zero-Shot Learning",
        "TPAMI",
        2015,
        "https://arxiv.org/abs/1501.04560",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {"few_shot": False, "pool": "test-unlabeled"},
        "zero-shot": {"few_shot": False},
    }

    few_shot: bool = True
    """Use the labelled support images."""
    encoder: str | None = None
    """Second encoder: a name of timm, ``local-dir:`` and a folder, or ``hf-hub:`` and a name; None: no third view."""
    neighbours: PositiveInt = 10
    """Nearest images of an image, and of a name."""
    power: NonNegativeFloat = 3.0
    """Power of a cosine in the weight of an edge."""
    alpha: Annotated[float, Field(ge=0, lt=1)] = 0.7
    """How far labels spread."""

    def __post_init__(self) -> None:
        if not self.few_shot:
            self.needs = Needs(unlabeled=True, vocabulary=True)
        if self.encoder is not None:
            self.encoders = (self.encoder,)

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(n, k)`` log of the mean share of the names over the views."""
        views = [(self._rows(task, pool, None), pool @ text.T)]
        prior = [(task.logit_scale * rows @ text.T).softmax(dim=1) for rows in views[0][0]]
        views.append(([F.normalize(each, dim=1) for each in prior], prior[0]))
        if self.encoder is not None:
            views.append((self._rows(task, pool, self.encoder), pool @ text.T))
        label = task.support.label if self.few_shot else torch.arange(0, device=pool.device)
        shares = [self._shares(*rows, label, to_names) for rows, to_names in views]
        return torch.stack(shares).mean(dim=0).log().clamp_min(MIN_LOG_PROB)

    def _rows(self, task: Task, pool: Tensor, encoder: str | None) -> tuple[Tensor, Tensor]:
        """Features of the pool and of the support, in a view."""
        if encoder is None:
            return pool, task.support.features[:, 0] if self.few_shot else pool[:0]
        order = canonical_order(task.unlabeled.features[:, 0])
        own = task.unlabeled.encoded(encoder)[order, 0]
        return own, task.support.encoded(encoder)[:, 0] if self.few_shot else own[:0]

    def _shares(self, pool: Tensor, support: Tensor, label: Tensor, to_names: Tensor) -> Tensor:
        """``(n, k)`` shares of the names of the pool's images in a view; ``to_names`` has their cosines."""
        row, names = torch.cat([pool, support]), to_names.shape[1]
        near, index = nearest_neighbours(row, self.neighbours) if len(row) > 1 else (row[:, :0], row[:, :0].long())
        own = torch.arange(len(row), device=row.device).repeat_interleave(index.shape[1])
        best = to_names.topk(min(self.neighbours, len(pool)), dim=0)
        name = torch.arange(len(row), len(row) + names, device=row.device).expand_as(best.indices)
        weight = torch.cat([near.flatten(), best.values.flatten()]).clamp_min(0) ** self.power
        ends = torch.cat([own, name.flatten()]), torch.cat([index.flatten(), best.indices.flatten()])
        known = torch.cat(
            [row.new_zeros(len(pool), names), F.one_hot(label, names).to(row), row.new_zeros(names, names)]
        )
        known[len(row) :].fill_diagonal_(1)
        graph, _ = Graph.symmetric(weight, *ends).normalised(len(known))
        found = propagate(graph, known, self.alpha)[: len(pool)].clamp_min(0) + 1e-12
        return found / found.sum(dim=1, keepdim=True)

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """The weighted mean of the neighbours in the pool."""
        near = (image @ self.pool_.T).topk(min(self.neighbours, len(self.pool_)), dim=1)
        weight = near.values.clamp_min(0) ** self.power + 1e-12
        share = (weight / weight.sum(dim=1, keepdim=True))[..., None] * self.log_plan_[near.indices].exp()
        return share.sum(dim=1).log().clamp_min(MIN_LOG_PROB)

    def outcome(self) -> dict[str, Any]:
        """The number of names without an image of the pool."""
        return {"empty_names": len(self.text_) - len(self.log_plan_.argmax(dim=1).unique())}


@hookimpl
def harness_method() -> type[GraphLP]:
    """Return the method."""
    return GraphLP
