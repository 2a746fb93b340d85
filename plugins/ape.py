"""APE: a cache of the support on the feature channels that tell classes apart, without training."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.paper import Paper
from harness.types.task import Needs

from ._grid_search import middle_of_best
from ._training import Fraction, NonNegativeFloat, PositiveInt
from ._vocabulary import add_to_fitted, fitted_positions, zero_shot_text
from .tip_adapter import ALPHAS, BETAS

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

GAMMAS = (-0.2, 0.0, 0.1, 0.2, 0.4)
"""Candidate weights of a support image's divergence."""


@dataclass
class APE(Method):
    """Adaptive prior refinement: a cache on chosen channels of the features (Zhu et al., ICCV 2023).

    A channel's value is ``-similarity_weight * m + (1 - similarity_weight) * v``: m is the mean product of two unit
    features of different classes, over all pairs of texts and support images, and v the variance of the texts over
    classes. The channels of highest value are kept; on them features x', f' and t' are unit rows again. With
    ``d_j = KL(label of f_j || softmax(logit_scale * f'_j t'))`` in bits,
    ``scores = zero-shot + alpha * exp(-beta * (1 - x' f')) exp(gamma * d) @ one-hot labels``.
    Alpha, beta and gamma maximise the accuracy on the few-shot validation draw, the middle of the best; the authors use
    all validation images. Their softmax has no logit scale: d is then close to log2 of the number of classes for every
    image, and gamma only scales alpha (preset ``paper``). They also take sentences of CuPL as texts.

    As in ``tip_adapter``, the cache moves probability among the names with support and leaves all other scores alone.
    """

    needs = Needs(support=True, validation=True)
    seeded = False
    paper = Paper(
        "Zhu et al.",
        "Not All Features Matter: Enhancing Few-shot CLIP with Adaptive Prior Refinement",
        "ICCV",
        2023,
        "https://arxiv.org/abs/2304.01195",
    )
    presets = {"paper": {"scaled": False, "views": 10, "crop": 0.5}}  # noqa: RUF012 - read only

    share: Fraction = 0.7
    """Share of the channels that is kept; at least one is."""
    similarity_weight: Fraction = 0.7
    """Weight of the similarity between classes; that of the variance is 1 minus it."""
    scaled: bool = True
    """Whether the softmax of the divergence has the logit scale."""
    alpha: NonNegativeFloat | None = None
    """Weight of the cache; None: chosen on the validation draw, as are beta and gamma."""
    beta: NonNegativeFloat | None = None
    """Sharpness of the affinity."""
    gamma: float | None = None
    """Weight of the divergence."""
    views: PositiveInt = 1
    """Views of each support image; its key is the normalised mean of their unit rows."""
    crop: Fraction = 0.5
    """Minimum area of a view's crop, as a share of the image; the paper's value."""

    def fit(self, task: Task) -> Self:
        """Choose channels, store the support as the cache, and choose alpha, beta and gamma."""
        self.task_ = task
        text, label = zero_shot_text(task, task.vocabulary), task.support.label
        image = F.normalize(task.support.features.mean(dim=1), dim=1)
        value = channel_values(text, image, label, self.similarity_weight)
        self.channels_ = value.topk(max(1, int(self.share * len(value)))).indices
        self.keys_ = self._refined(image)
        logits = (task.logit_scale if self.scaled else 1.0) * self.keys_ @ self._refined(text).T
        self.bits_ = F.cross_entropy(logits, label, reduction="none") / torch.log(torch.tensor(2.0))
        self.labels_ = F.one_hot(label, len(text)).to(image.dtype)
        self.alpha_, self.beta_, self.gamma_ = self._choose(task, text)
        task.progress(1, 1)
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Zero-shot scores plus the cache, among the names with support."""
        image = images.features[:, 0]
        zero_shot = self.task_.logit_scale * image @ zero_shot_text(self.task_, vocabulary).T
        cache = self.alpha_ * self._cache(image, self.beta_, self.gamma_)
        return add_to_fitted(zero_shot, cache, fitted_positions(vocabulary, self.task_))

    def outcome(self) -> dict[str, Any]:
        """The chosen alpha, beta and gamma."""
        return {"alpha": self.alpha_, "beta": self.beta_, "gamma": self.gamma_}

    def _refined(self, rows: Tensor) -> Tensor:
        return F.normalize(rows[:, self.channels_], dim=1)

    def _cache(self, image: Tensor, beta: float, gamma: float) -> Tensor:
        affinity = torch.exp(-beta * (1 - self._refined(image) @ self.keys_.T))
        return affinity @ (torch.exp(gamma * self.bits_)[:, None] * self.labels_)

    def _choose(self, task: Task, text: Tensor) -> tuple[float, float, float]:
        grids = (
            own if value is None else (value,)
            for own, value in ((BETAS, self.beta), (GAMMAS, self.gamma), (ALPHAS, self.alpha))
        )
        betas, gammas, alphas = grids
        image, label = task.validation.features[:, 0], task.validation.label
        zero_shot = task.logit_scale * image @ text.T
        caches = [self._cache(image, beta, gamma) for beta, gamma in product(betas, gammas)]
        scores = zero_shot + torch.tensor(alphas, dtype=text.dtype, device=text.device)[:, None, None, None] * (
            torch.stack(caches)
        )
        right = (scores.argmax(dim=3) == label).sum(dim=2).T.reshape(len(betas), len(gammas), len(alphas))
        beta, gamma, alpha = middle_of_best(right.cpu().numpy())
        return alphas[alpha], betas[beta], gammas[gamma]


def channel_values(text: Tensor, image: Tensor, label: Tensor, weight: float) -> Tensor:
    """``(d,)`` values of the channels: low products between different classes, high variance of the texts.

    Args:
        text: ``(k, d)`` unit rows, at least two.
        image: ``(n, d)`` unit rows.
        label: ``(n,)`` their classes.
        weight: of the products.
    """
    every, of = torch.cat([text, image]), torch.cat([torch.arange(len(text), device=label.device), label])
    one = F.one_hot(of, len(text)).to(text.dtype)
    total, count = one.T @ every, one.sum(dim=0)
    pairs = (len(every) ** 2 - count.square().sum()).clamp_min(1)
    product = (every.sum(dim=0).square() - total.square().sum(dim=0)) / pairs
    return -weight * product + (1 - weight) * text.var(dim=0, correction=int(len(text) > 1))


@hookimpl
def harness_method() -> type[APE]:
    """Return the method."""
    return APE
