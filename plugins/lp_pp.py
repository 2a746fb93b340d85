"""LP++: a linear probe whose classes also weigh their text features, with step sizes from bounds of the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.paper import Paper
from harness.types.task import Needs

from ._training import Fraction, NonNegativeFloat, PositiveInt
from ._vocabulary import require_fitted_positions, zero_shot_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary


class Probe(NamedTuple):
    """Class weights ``(k, d)``, biases ``(k,)`` and weights of the text features ``(k,)``."""

    weight: Tensor
    bias: Tensor
    alpha: Tensor

    def logits(self, image: Tensor, cosine: Tensor) -> Tensor:
        """Logits ``(n, k)`` of images ``(n, d)`` and their cosines with the text features ``(n, k)``."""
        return image @ self.weight.T + self.bias + self.alpha * cosine


@dataclass
class LPPP(Method):
    """A linear probe with a learned weight of each class's text feature (LP++; Huang et al., CVPR 2024).

    ``logits = W x + b + alpha * cos(x, t)``, one alpha for each class, fitted by the cross-entropy of the support.
    W starts at the sums of the support features of each class, b at zero, and alpha at ``initial_alpha`` times the mean
    cosine of a support image with its own text, the same for all classes. Steps have the length that bounds of the
    curvature give: for W and b, with momentum, ``4 n / largest eigenvalue of X'X``; for alpha, every ten steps,
    ``n / (4 max_k sum_i cos(x_i, t_k)^2)``. The step with the most correct images of the few-shot validation draw
    counts; of equal ones the last.

    The authors start b from random numbers and never clear the gradient of alpha, so that each of its steps takes the
    sum of all gradients so far; here it takes the present one, as in the paper. Weights belong to classes, so the
    vocabulary is fixed.
    """

    needs = Needs(support=True, validation=True)
    seeded = False
    paper = Paper(
        "Huang et al.",
        "LP++: A Surprisingly Strong Linear Probe for Few-Shot CLIP",
        "CVPR",
        2024,
        "https://arxiv.org/abs/2404.02285",
    )
    presets = {"paper": {"steps": 300, "initial_alpha": 250.0}}  # noqa: RUF012 - read only

    steps: PositiveInt = 300
    """Steps of gradient descent on all of the support."""
    initial_alpha: NonNegativeFloat = 25.0
    """Initial weight of the text, for a mean cosine of 1."""
    alpha_every: PositiveInt = 10
    """Steps from one update of alpha to the next."""
    momentum: Fraction = 0.9
    """Momentum of the steps of W and b."""

    def fit(self, task: Task) -> Self:
        """Fit the probe, and choose the step."""
        self.task_ = task
        image, label = task.support.features[:, 0], task.support.label
        self.text_ = zero_shot_text(task, task.vocabulary)
        checked, truth = task.validation.features[:, 0], task.validation.label
        cosine, best = checked @ self.text_.T, -1
        one = F.one_hot(label, len(self.text_)).to(image.dtype)
        for step, probe in enumerate(self._descent(image, image @ self.text_.T, one), start=1):
            right = int((probe.logits(checked, cosine).argmax(dim=1) == truth).sum())
            if right >= best:
                best, self.probe_, self.step_ = right, probe, step
            task.progress(step, self.steps)
        return self

    def _descent(self, image: Tensor, cosine: Tensor, one: Tensor) -> Iterator[Probe]:
        """The probe after every step, of images ``(n, d)`` with one-hot labels ``(n, k)``."""
        alpha = self.initial_alpha * (cosine * one).sum() / len(image)
        weight, bias = one.T @ image, torch.zeros_like(cosine[0])
        alpha = alpha.expand(len(bias))
        rate = 4 * len(image) / float(torch.linalg.matrix_norm(image, 2)) ** 2
        alpha_rate = len(image) / (4 * float(cosine.square().sum(dim=0).max()))
        speed, bias_speed = torch.zeros_like(weight), torch.zeros_like(bias)
        for step in range(1, self.steps + 1):
            apart = (Probe(weight, bias, alpha).logits(image, cosine).softmax(dim=1) - one) / len(image)
            speed, bias_speed = self.momentum * speed + apart.T @ image, self.momentum * bias_speed + apart.sum(dim=0)
            weight, bias = weight - rate * speed, bias - rate * bias_speed
            if step % self.alpha_every == 0:
                alpha = alpha - alpha_rate * (apart * cosine).sum(dim=0)
            yield Probe(weight, bias, alpha)

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``W x + b + alpha * cos(x, t)``.

        Raises:
            FixedVocabulary: a name has no weights.
        """
        at = require_fitted_positions(vocabulary, self.task_, "lp_pp")
        image = images.features[:, 0]
        return self.probe_.logits(image, image @ self.text_.T)[:, at]

    def outcome(self) -> dict[str, Any]:
        """The chosen step, and the mean weight of the text."""
        return {"step": self.step_, "alpha": round(float(self.probe_.alpha.mean()), 4)}

    def trainable(self) -> int:
        """Elements of W, b and alpha."""
        return sum(value.numel() for value in self.probe_)


@hookimpl
def harness_method() -> type[LPPP]:
    """Return the method."""
    return LPPP
