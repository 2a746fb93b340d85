"""Gaussian discriminant analysis on the support features, added to zero-shot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from harness.errors import MethodError
from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.paper import Paper
from harness.types.task import Needs

from ._clustering import class_means
from ._grid_search import first_of_best, middle_of_best
from ._training import Fraction, NonNegativeFloat, PositiveInt
from ._vocabulary import add_to_fitted, fitted_positions, zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Support, Task
    from harness.types.vocabulary import Vocabulary

ALPHAS = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
"""Candidate weights of the discriminant."""


@dataclass
class GDA(Method):
    """Gaussian classes of one shared covariance, added to zero-shot, without training (Wang et al., ICLR 2024).

    All views of all shots are rows. With means m, centred rows R, n rows and d dimensions:
    ``K = d * inverse(R'R + trace(R'R) / (n - 1) * I)``, ``w = K m``, ``b = -log(classes) - m'K m / 2``,
    ``scores = zero-shot + alpha * (x'w + b)``. Alpha is chosen by leave-one-shot-out inside the support, the middle of
    the best. The preset ``paper`` takes the smallest of the best on validation images, as the authors do; they use all
    of them, the preset uses the few-shot draw. R can come from IP images around their class means, which shows the
    within-class spread even with one shot.

    Names without support have no Gaussian: the discriminant moves probability among the names with support, preserves
    their sum, and leaves all other scores as in zero-shot.
    """

    needs = Needs(support=True, ip=True)
    paper = Paper(
        "Wang et al.",
        "A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation",
        "ICLR",
        2024,
        "https://arxiv.org/abs/2402.04087",
    )
    presets = {"paper": {"search": "paper", "covariance": "views", "views": 10, "crop": 0.5}}  # noqa: RUF012 - read only

    alpha: NonNegativeFloat | None = None
    """Weight of the discriminant; None: chosen from ``ALPHAS``."""
    search: Literal["support", "paper"] = "support"
    """Where alpha is chosen: inside the support, or on validation images as in the paper."""
    alpha_one_shot: NonNegativeFloat = 1.0
    """Alpha if no shot can be left out."""
    covariance: Literal["views", "ip"] = "ip"
    """Source of R: labelled IP images, or the paper's views of the support, which need no IP images. On held-out OOP
    images of the miniature (three seeds) ip has 73.1 % at one shot and 83.6 % at four, four views 71.6 and 82.8."""
    views: PositiveInt = 1
    """Views of each support image. The paper's ten are all crops; here the first is the whole image."""
    crop: Fraction = 0.5
    """Minimum area of a view's crop, as a share of the image; the paper's value."""

    def __post_init__(self) -> None:
        if self.search == "paper" or self.covariance == "views":
            self.needs = Needs(support=True, validation=self.search == "paper", ip=self.covariance == "ip")

    def fit(self, task: Task) -> Self:
        """Estimate means and covariance; choose alpha."""
        self.task_ = task
        support = task.support
        self.residual_ = _of_ip(task.ip) if self.covariance == "ip" else None
        self.weight_, self.bias_ = _discriminant(support.features, support.label, len(task.names), self.residual_)
        self.alpha_ = self.alpha if self.alpha is not None else self._choose(task)
        task.progress(1, 1)
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Zero-shot scores plus the discriminant, among the names with support."""
        image = images.features[:, 0]
        zero_shot = self.task_.logit_scale * image @ zero_shot_text(self.task_, vocabulary).T
        term = self.alpha_ * (image @ self.weight_.T + self.bias_)
        return add_to_fitted(zero_shot, term, fitted_positions(vocabulary, self.task_))

    def outcome(self) -> dict[str, Any]:
        """The chosen alpha."""
        return {"alpha": self.alpha_}

    def _choose(self, task: Task) -> float:
        if self.search == "paper":
            image, label = task.validation.features[:, 0], task.validation.label
            return ALPHAS[first_of_best(self._right(task, image, label, self.weight_, self.bias_))[0]]
        return self._leave_out(task)

    def _leave_out(self, task: Task) -> float:
        """Leave-one-shot-out inside the support."""
        image, label = task.support.features, task.support.label
        order = _order(label)
        count = torch.bincount(label, minlength=len(task.names))
        several = count[label] > 1
        least = 2 if self.residual_ is None else 1  # the remaining rows must have a spread
        if (int(count.max()) - 1) * image.shape[1] < least:
            return self.alpha_one_shot
        right = [0] * len(ALPHAS)
        for shot in range(int(order.max()) + 1):
            out = several & (order == shot)
            fitted = _discriminant(image[~out], label[~out], len(task.names), self.residual_)
            right = [a + b for a, b in zip(right, self._right(task, image[out, 0], label[out], *fitted), strict=True)]
        return ALPHAS[middle_of_best(right)[0]]

    @staticmethod
    def _right(task: Task, image: Tensor, label: Tensor, weight: Tensor, bias: Tensor) -> list[int]:
        """Correctly classified images ``(n, d)`` for each of ``ALPHAS``."""
        zero_shot = task.logit_scale * image @ zero_shot_text(task, task.vocabulary).T
        term = image @ weight.T + bias
        return [int(((zero_shot + alpha * term).argmax(dim=1) == label).sum()) for alpha in ALPHAS]


def _order(label: Tensor) -> Tensor:
    """Number of earlier rows with the same label ``(n,)``."""
    same = label[:, None] == label[None, :]
    return same.tril(diagonal=-1).sum(dim=1)


def _of_ip(known: Support) -> Tensor:
    """IP images minus their class means ``(n, d)``."""
    if len(known.label) <= len(known.label.unique()):
        raise MethodError(
            "gda cannot estimate a covariance: no IP class has two images",
            "use views of the support instead (-p gda.covariance=views -p gda.views=4)",
        )
    rows = known.features[:, 0].double()
    return rows - class_means(rows, known.label)[known.label]


def _discriminant(image: Tensor, label: Tensor, classes: int, residual: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weights ``(classes, d)`` and biases ``(classes,)`` of the linear discriminant.

    Args:
        image: ``(n, v, d)``; every view is a row.
        label: ``(n,)``.
        classes: number of classes; an empty class gets weight zero and the lowest bias.
        residual: ``(m, d)`` centred rows of the covariance; None: those of the images.
    """
    rows, label = image.double().flatten(0, 1), label.repeat_interleave(image.shape[1])
    mean = class_means(rows, label, classes)
    residual = rows - mean[label] if residual is None else residual
    scatter = residual.T @ residual
    spread = scatter.trace() / (len(residual) - 1)
    if len(residual) < 2 or float(spread) < 1e-9:
        raise MethodError(
            "gda cannot estimate a covariance from one view of one shot",
            "use more views (-p gda.views=10), more shots, or labelled IP images (-p gda.covariance=ip)",
        )
    size = rows.shape[1]
    matrix = scatter + spread * torch.eye(size, dtype=rows.dtype, device=rows.device)
    weight = size * torch.linalg.solve(matrix, mean.T).T
    bias = -torch.log(torch.tensor(float(classes))) - (mean * weight).sum(dim=1) / 2
    bias[torch.bincount(label, minlength=classes) == 0] = bias.min()
    return weight.to(image.dtype), bias.to(image.dtype)


@hookimpl
def harness_method() -> type[GDA]:
    """Return the method."""
    return GDA
