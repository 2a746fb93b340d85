"""Tip-Adapter: a cache of the support images, without training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.task import Needs

from ._choice import first_of_best, middle_of_best
from ._training import Count, Share, Weight
from ._vocabulary import move_within, positions, zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Weights of the cache that are tried. OOP names mislead zero-shot, so that the grid has to reach far."""

BETAS = (1.0, 2.0, 3.0, 5.5, 10.0, 20.0, 50.0)
"""Sharpnesses that are tried."""

GRIDS = {
    "wide": (BETAS, ALPHAS),
    "paper": (
        tuple(0.1 + i * (7 - 0.1) / 200 for i in range(200)),
        tuple(0.1 + i * (3 - 0.1) / 20 for i in range(20)),
    ),
}
"""Sharpnesses and weights of a search."""


@dataclass
class TipAdapter(Method):
    """A key-value cache over the support images, added to the zero-shot scores (Zhang et al., ECCV 2022).

    ``scores = zero-shot + alpha * exp(-beta * (1 - image @ support.T)) @ one-hot labels``. Alpha and beta are what
    classifies most of the few-shot validation images: of the wide grid ``ALPHAS`` x ``BETAS`` the middle of the best,
    in the preset ``paper`` the first of the best of its authors' grid. Theirs differs from data set to data set; the
    preset takes the one of ImageNet, beta to 7 in 200 steps and alpha to 3 in 20, and their data sets' ends of alpha
    lie between 3 and 50. They look at all validation images, the preset at the few-shot draw.

    The paper has no names without support. Here the cache moves probability among the names that have some, their sum
    stays that of zero-shot, and other names keep their scores.
    """

    needs = Needs(support=True, validation=True)
    paper = "Zhang et al., ECCV 2022"
    presets = {"paper": {"search": "paper", "views": 10, "crop": 0.5}}  # noqa: RUF012 - read only

    search: Literal["wide", "paper"] = "wide"
    """Where alpha and beta are looked for, and which of equals is taken: the middle, or the paper's first."""
    alpha: Weight | None = None
    """Weight of the cache; None chooses it on the validation draw."""
    beta: Weight | None = None
    """Sharpness of the affinity; None chooses it on the validation draw."""
    views: Count = 1
    """Views of each support image; its key is the mean of their unit rows, made a unit row. The authors' ten are crops,
    and their mean is of rows as they leave the encoder; here the first view is the whole image."""
    crop: Share = 0.5
    """Least share of the area that a view's crop has; the paper's."""

    def fit(self, task: Task) -> Self:
        """Keep the support, and choose alpha and beta."""
        self.task_ = task
        support = task.support
        self.keys_ = F.normalize(support.image.mean(dim=1), dim=1)
        self.values_ = F.one_hot(support.label, len(task.names)).to(self.keys_.dtype)
        self.alpha_, self.beta_ = self._choose(task)
        task.progress(1, 1)
        return self

    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Zero-shot scores, moved by the cache among the names that have support."""
        zero_shot = self.task_.logit_scale * image @ zero_shot_text(self.task_, vocabulary).T
        return move_within(zero_shot, self.alpha_ * self._cache(image, self.beta_), positions(vocabulary, self.task_))

    def outcome(self) -> dict[str, Any]:
        """What was chosen on the validation draw."""
        return {"alpha": self.alpha_, "beta": self.beta_}

    def _cache(self, image: Tensor, beta: float) -> Tensor:
        return torch.exp(-beta * (1 - image @ self.keys_.T)) @ self.values_

    def _choose(self, task: Task) -> tuple[float, float]:
        betas, alphas = GRIDS[self.search]
        betas = betas if self.beta is None else (self.beta,)
        alphas = alphas if self.alpha is None else (self.alpha,)
        image, label = task.validation.image[:, 0], task.validation.label
        zero_shot = task.logit_scale * image @ zero_shot_text(task, task.vocabulary).T
        right = []
        for beta in betas:
            cache = self._cache(image, beta)
            right.append([int(((zero_shot + a * cache).argmax(dim=1) == label).sum()) for a in alphas])
        beta, alpha = (middle_of_best if self.search == "wide" else first_of_best)(right)
        return alphas[alpha], betas[beta]


@hookimpl
def harness_method() -> type[TipAdapter]:
    """Return the method."""
    return TipAdapter
