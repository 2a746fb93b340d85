"""Gaussian discriminant analysis on the support features, added to zero-shot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from harness.errors import MethodError
from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.task import Needs

from ._choice import first_of_best, middle_of_best
from ._clusters import means_of
from ._training import Count, Share, Weight
from ._vocabulary import move_within, positions, zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Support, Task
    from harness.types.vocabulary import Vocabulary

ALPHAS = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
"""Weights of the discriminant that are tried."""


@dataclass
class GDA(Method):
    """Gaussian classes of one shared covariance, added to zero-shot, without training (Wang et al., ICLR 2024).

    All views of all shots are rows. With means m, centred rows R, n rows and d dimensions:
    ``K = d * inverse(R'R + trace(R'R) / (n - 1) * I)``, ``w = K m``, ``b = -log(classes) - m'K m / 2``,
    ``scores = zero-shot + alpha * (x'w + b)``. The weight alpha is chosen inside the support, by leaving out one shot
    of every class after the other; nothing else is looked at, and of equal weights the middle one counts. The preset
    ``paper`` chooses as the authors do, the smallest of the best on validation images: they look at all of them, the
    preset at the few-shot draw. R can be borrowed: images of IP classes around their own means show how images of a
    class differ, also where there is one shot.

    A name without support has no Gaussian: the discriminant moves probability among the names that have one, their sum
    stays that of zero-shot, and other names keep their scores.
    """

    needs = Needs(support=True, ip=True)
    paper = "Wang et al., ICLR 2024"
    presets = {"paper": {"search": "paper", "covariance": "views", "views": 10, "crop": 0.5}}  # noqa: RUF012 - read only

    alpha: Weight | None = None
    """Weight of the discriminant; None chooses it of ``ALPHAS``."""
    search: Literal["support", "paper"] = "support"
    """Where alpha is chosen: inside the support, or as the paper on validation images."""
    alpha_one_shot: Weight = 1.0
    """Weight where no shot can be left out."""
    covariance: Literal["views", "ip"] = "ip"
    """Whose rows R are: labelled IP images, or the paper's views of the support, which need no IP images. On held-out
    OOP images of the miniature (three seeds) ip has 73.1 % at one shot and 83.6 % at four, four views 71.6 and 82.8."""
    views: Count = 1
    """Views of each support image. One view of one shot shows no spread of its own. The paper's ten are crops; here the
    first view is the whole image."""
    crop: Share = 0.5
    """Least share of the area that a view's crop has; the paper's."""

    def __post_init__(self) -> None:
        if self.search == "paper" or self.covariance == "views":
            self.needs = Needs(support=True, validation=self.search == "paper", ip=self.covariance == "ip")

    def fit(self, task: Task) -> Self:
        """Estimate means and covariance, and choose alpha."""
        self.task_ = task
        support = task.support
        self.residual_ = _of_ip(task.ip) if self.covariance == "ip" else None
        self.weight_, self.bias_ = _discriminant(support.image, support.label, len(task.names), self.residual_)
        self.alpha_ = self.alpha if self.alpha is not None else self._choose(task)
        task.progress(1, 1)
        return self

    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Zero-shot scores, moved among the names that have support."""
        zero_shot = self.task_.logit_scale * image @ zero_shot_text(self.task_, vocabulary).T
        term = self.alpha_ * (image @ self.weight_.T + self.bias_)
        return move_within(zero_shot, term, positions(vocabulary, self.task_))

    def outcome(self) -> dict[str, Any]:
        """The weight that was chosen."""
        return {"alpha": self.alpha_}

    def _choose(self, task: Task) -> float:
        if self.search == "paper":
            image, label = task.validation.image[:, 0], task.validation.label
            return ALPHAS[first_of_best(self._right(task, image, label, self.weight_, self.bias_))[0]]
        return self._leave_out(task)

    def _leave_out(self, task: Task) -> float:
        """Leave-one-shot-out inside the support."""
        image, label = task.support.image, task.support.label
        order = _order(label)
        count = torch.bincount(label, minlength=len(task.names))
        several = count[label] > 1
        least = 2 if self.residual_ is None else 1  # what is left after leaving one out must still show a spread
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
        """How many images ``(n, d)`` each of ``ALPHAS`` gets right."""
        zero_shot = task.logit_scale * image @ zero_shot_text(task, task.vocabulary).T
        term = image @ weight.T + bias
        return [int(((zero_shot + alpha * term).argmax(dim=1) == label).sum()) for alpha in ALPHAS]


def _order(label: Tensor) -> Tensor:
    """How many earlier rows have the same label ``(n,)``."""
    same = label[:, None] == label[None, :]
    return same.tril(diagonal=-1).sum(dim=1)


def _of_ip(known: Support) -> Tensor:
    """IP images around the means of their classes ``(n, d)``."""
    if len(known.label) <= len(known.label.unique()):
        raise MethodError(
            "gda cannot see how images of an IP class differ: the data have no two of one class",
            "take views of the support instead (-p gda.covariance=views -p gda.views=4)",
        )
    rows = known.image[:, 0].double()
    return rows - means_of(rows, known.label)[known.label]


def _discriminant(image: Tensor, label: Tensor, classes: int, residual: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weights ``(classes, d)`` and biases ``(classes,)`` of the linear discriminant.

    Args:
        image: ``(n, v, d)``; every view is a row.
        label: ``(n,)``.
        classes: how many there are; one without a row gets weight zero and the lowest bias.
        residual: ``(m, d)`` centred rows that show the covariance; None takes those of the images.
    """
    rows, label = image.double().flatten(0, 1), label.repeat_interleave(image.shape[1])
    mean = means_of(rows, label, classes)
    residual = rows - mean[label] if residual is None else residual
    scatter = residual.T @ residual
    spread = scatter.trace() / (len(residual) - 1)
    if len(residual) < 2 or float(spread) < 1e-9:
        raise MethodError(
            "gda cannot see how images of a class differ: one view of one shot would leave it equal to zero-shot",
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
