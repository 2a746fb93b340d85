"""OTTER: every name gets its share of the pool, by optimal transport."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._cluster_matching import assign_names
from ._clustering import class_means
from ._transductive import MIN_LOG_PROB, TransductiveMethod

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task


@dataclass
class OTTER(TransductiveMethod):
    """Zero-shot labels of a pool that follow given class shares, by optimal transport (Shin et al., NeurIPS 2024).

    The labels maximise the total cosine of images and their names, where name k takes at most ``ceil(n * share_k)`` of
    n images; the authors split images where ``n * share`` is not a whole number. Their cost is ``-log softmax(cos)``,
    whose row constants and positive scale do not change the labels. An image outside of the pool takes the name of
    greatest cosine minus the name's price, the middle of the prices for which the pool's labels are best.

    Shares are equal by default. The authors' main results take them from the labels of the test images; with
    ``shares=support`` they are estimated as the paper's realistic variant does, from zero-shot's confusions on the
    labelled images and its predictions on the pool (black box shift estimation, Lipton et al., ICML 2018).
    """

    needs = Needs(unlabeled=True, vocabulary=True)
    seeded = False
    paper = Paper(
        "Shin et al.",
        "OTTER: Effortless Label Distribution Adaptation of Zero-shot Models",
        "NeurIPS",
        2024,
        "https://arxiv.org/abs/2404.08461",
    )
    presets = {"paper": {"pool": "test-unlabeled", "shares": "support"}}  # noqa: RUF012 - read only

    shares: Literal["equal", "support"] = "equal"
    """Shares of the names: equal, or estimated with the labelled support images."""

    def __post_init__(self) -> None:
        if self.shares == "support":
            self.needs = replace(self.needs, support=True)

    def assign(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(n, k)``: the chosen name first, then the others by their scores outside of the pool."""
        cosine = pool @ text.T
        self.share_ = torch.full_like(text[:, 0], 1 / len(text))
        if self.shares == "support":
            own = task.support.features[:, 0] @ text.T
            self.share_ = estimated_shares(own.argmax(dim=1), task.support.label, cosine.argmax(dim=1), len(text))
        name = transported(cosine, self.share_)
        self.price_ = prices(cosine, name)
        chosen = torch.arange(len(text), device=text.device) == name[:, None]
        return torch.where(chosen, 0.0, self.others(pool, text) + MIN_LOG_PROB)

    def others(self, image: Tensor, text: Tensor) -> Tensor:
        """Log-probabilities of the cosines minus the prices."""
        return (self.task_.logit_scale * (image @ text.T - self.price_)).log_softmax(dim=1).clamp_min(MIN_LOG_PROB)

    def outcome(self) -> dict[str, Any]:
        """The smallest and the largest share."""
        return {"shares": [round(float(end), 4) for end in (self.share_.min(), self.share_.max())]}

    def trainable(self) -> int:
        """Elements of the prices."""
        return self.price_.numel()


def transported(score: Tensor, share: Tensor) -> Tensor:
    """``(n,)`` columns of greatest total score, of which column k takes at most ``ceil(n * share_k)`` rows."""
    room = (len(score) * share - 1e-4).ceil().long().clamp_min(0)
    column = torch.arange(len(share), device=score.device).repeat_interleave(room)
    return column[assign_names(score[:, column])]


def prices(score: Tensor, column: Tensor) -> Tensor:
    """``(k,)`` prices for which no row prefers another column, if its columns are those of greatest total score.

    Of all such prices the middle between the lowest and the highest that have no price above, or below, zero.

    Args:
        score: ``(n, k)``.
        column: ``(n,)``.
    """
    k = score.shape[1]
    lead = score.gather(1, column[:, None]) - score
    own = [(column == a)[:, None] for a in range(k)]
    least = torch.stack([lead.masked_fill(~of_a, float("inf")).amin(dim=0) for of_a in own])
    low, high = torch.zeros_like(score[0]), torch.zeros_like(score[0])
    for _ in range(k):  # shortest paths: price_a <= price_b + least[a, b]
        low = torch.minimum(low, (least + low).amin(dim=1))
        high = torch.maximum(high, (high[:, None] - least).amax(dim=0))
    return (low + high) / 2


def estimated_shares(predicted: Tensor, label: Tensor, of_pool: Tensor, k: int) -> Tensor:
    """``(k,)`` shares of the classes whose predictions would be distributed as those of the pool.

    Args:
        predicted: ``(m,)`` predictions of labelled images.
        label: ``(m,)`` their classes.
        of_pool: ``(n,)`` predictions of the pool.
        k: number of classes.
    """
    confusion = class_means(F.one_hot(predicted, k).float(), label, k).T
    share = F.one_hot(of_pool, k).float().mean(dim=0)
    found = (torch.linalg.pinv(confusion) @ share).clamp_min(0)
    return found / found.sum() if float(found.sum()) > 0 else torch.full_like(found, 1 / k)


@hookimpl
def harness_method() -> type[OTTER]:
    """Return the method."""
    return OTTER
