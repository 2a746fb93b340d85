"""Tip-Adapter: a cache of the support images, without training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.prompts import Piece, Prompt
from harness.types.paper import Paper
from harness.types.task import Needs

from ._grid_search import first_of_best, middle_of_best
from ._training import Fraction, NonNegativeFloat, PositiveInt
from ._vocabulary import add_to_fitted, fitted_positions, zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Candidate weights of the cache. Zero-shot is unreliable for OOP names, so the grid includes large weights."""

BETAS = (1.0, 2.0, 3.0, 5.5, 10.0, 20.0, 50.0)
"""Candidate sharpnesses."""

GRIDS = {
    "wide": (BETAS, ALPHAS),
    "paper": (
        tuple(0.1 + i * (7 - 0.1) / 200 for i in range(200)),
        tuple(0.1 + i * (3 - 0.1) / 20 for i in range(20)),
    ),
}
"""(Sharpnesses, weights) of each search."""


@dataclass
class TipAdapter(Method):
    """A key-value cache over the support images, added to the zero-shot scores (Zhang et al., ECCV 2022).

    ``scores = zero-shot + alpha * exp(-beta * (1 - image @ support.T)) @ one-hot labels``. Alpha and beta maximise the
    accuracy on the few-shot validation draw: the middle of the best of the wide grid ``ALPHAS`` x ``BETAS``, or, in the
    preset ``paper``, the first of the best of the authors' grid. Theirs depends on the data set; the preset uses the
    one of ImageNet, beta to 7 in 200 steps and alpha to 3 in 20 (their other data sets: alpha up to 3 to 50). They
    use all validation images, the preset uses the few-shot draw.

    The paper has no names without support. Here the cache moves probability among the names with support, preserves
    their sum, and leaves all other scores as in zero-shot.

    With ``caption_weight`` d the affinity is ``(1 - d) image @ support.T + d image @ captions.T``, as in CapS-Adapter
    (Wang et al., ACM MM 2024), whose support is generated from the captions. Its authors choose d with alpha and beta;
    the preset ``caps`` has 0.5. An image without a caption has the prompt of its name.
    """

    needs = Needs(support=True, validation=True)
    paper = Paper(
        "Zhang et al.",
        "Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification",
        "ECCV",
        2022,
        "https://arxiv.org/abs/2207.09519",
    )
    presets = {  # noqa: RUF012 - read only
        "paper": {"search": "paper", "views": 10, "crop": 0.5},
        "caps": {"caption_weight": 0.5},
    }

    search: Literal["wide", "paper"] = "wide"
    """Grid of alpha and beta: wide with ties to the middle, or the paper's with ties to the first."""
    alpha: NonNegativeFloat | None = None
    """Weight of the cache; None: chosen on the validation draw."""
    beta: NonNegativeFloat | None = None
    """Sharpness of the affinity; None: chosen on the validation draw."""
    views: PositiveInt = 1
    """Views of each support image; its key is the normalised mean of their unit rows. The authors' ten are all crops,
    averaged before normalisation; here the first view is the whole image."""
    crop: Fraction = 0.5
    """Minimum area of a view's crop, as a share of the image; the paper's value."""
    caption_weight: Fraction = 0.0
    """Share of the captions in the affinity (CapS-Adapter's delta); 0: no captions."""

    def __post_init__(self) -> None:
        if self.caption_weight:
            self.needs = replace(self.needs, captions=True)

    def fit(self, task: Task) -> Self:
        """Store the support as the cache; choose alpha and beta."""
        self._store(task)
        self.alpha_, self.beta_ = self._choose(task)
        task.progress(1, 1)
        return self

    def _store(self, task: Task) -> None:
        self.task_ = task
        self.keys_ = F.normalize(task.support.features.mean(dim=1), dim=1)
        self.values_ = F.one_hot(task.support.label, len(task.names)).to(self.keys_.dtype)
        if self.caption_weight:
            self.captions_ = _caption_features(task)

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Zero-shot scores plus the cache, among the names with support."""
        image = images.features[:, 0]
        zero_shot = self.task_.logit_scale * image @ zero_shot_text(self.task_, vocabulary).T
        return add_to_fitted(
            zero_shot, self.alpha_ * self._cache(image, self.beta_), fitted_positions(vocabulary, self.task_)
        )

    def outcome(self) -> dict[str, Any]:
        """The chosen alpha and beta."""
        return {"alpha": self.alpha_, "beta": self.beta_}

    def _cache(self, image: Tensor, beta: float) -> Tensor:
        affinity = image @ self.keys_.T
        if self.caption_weight:
            affinity = (1 - self.caption_weight) * affinity + self.caption_weight * image @ self.captions_.T
        return torch.exp(-beta * (1 - affinity)) @ self.values_

    def _choose(self, task: Task) -> tuple[float, float]:
        betas, alphas = GRIDS[self.search]
        betas = betas if self.beta is None else (self.beta,)
        alphas = alphas if self.alpha is None else (self.alpha,)
        image, label = task.validation.features[:, 0], task.validation.label
        zero_shot = task.logit_scale * image @ zero_shot_text(task, task.vocabulary).T
        right = []
        for beta in betas:
            cache = self._cache(image, beta)
            right.append([int(((zero_shot + a * cache).argmax(dim=1) == label).sum()) for a in alphas])
        beta, alpha = (middle_of_best if self.search == "wide" else first_of_best)(right)
        return alphas[alpha], betas[beta]


def _caption_features(task: Task) -> Tensor:
    """Unit rows ``(n, d)`` of the support's captions; of an image without one, the prompt of its name."""
    named = [task.template.fill(task.names[y], task.noun) for y in task.support.label.tolist()]
    captions = task.support.captions or [None] * len(named)
    prompts = [Prompt((Piece(text),)) if text else name for text, name in zip(captions, named, strict=True)]
    return task.text.encode(prompts)


@hookimpl
def harness_method() -> type[TipAdapter]:
    """Return the method."""
    return TipAdapter
