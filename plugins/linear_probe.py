"""Linear probe: logistic regression on frozen image features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from harness.hookspecs import Register, hookimpl
from harness.method import Method
from harness.types.task import Needs

from ._training import Count, Positive, Share
from ._vocabulary import fixed_positions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

GRID = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)
"""Powers of ten for C that are tried first."""

BISECTIONS = 8
"""Halvings of the interval around the best of them."""


@dataclass
class LinearProbe(Method):
    """Logistic regression on frozen image features (Radford et al., ICML 2021).

    The inverse regularisation C is chosen on the few-shot validation draw: the best of a seven-point grid, then eight
    bisection steps on a logarithmic scale between a tenth and ten times of it, each keeping the half at the better end.
    Of equals it is the smaller C, the smoother model; LAION-Beyond's code keeps the larger, and draws its support in a
    way of its own, from augmented images. Names play no part, so the vocabulary is fixed.
    """

    needs = Needs(support=True, validation=True)
    paper = "Radford et al., ICML 2021"
    presets = {"paper": {"c": None, "views": 1}}  # noqa: RUF012 - read only

    c: Positive | None = None
    """Inverse regularisation; None chooses it on the validation draw."""
    max_iter: Count = 1000
    """Steps of the solver at most."""
    views: Count = 1
    """Views of each support image; every view is a row."""
    crop: Share = 0.08
    """Least share of the area that a view's crop has."""

    def fit(self, task: Task) -> Self:
        """Choose C and fit the weights."""
        self.task_ = task
        support = task.support
        rows = support.image.flatten(0, 1).double().cpu().numpy()
        label = support.label.repeat_interleave(support.image.shape[1]).cpu().numpy()
        image, truth = (t.cpu().numpy() for t in (task.validation.image[:, 0].double(), task.validation.label))

        @cache
        def fitted(power: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            return _regression(rows, label, len(task.names), 10**power, self.max_iter)

        @cache
        def accuracy(power: float) -> float:
            weight, bias = fitted(power)
            return float(((image @ weight.T + bias).argmax(axis=1) == truth).mean())

        power = float(np.log10(self.c)) if self.c is not None else _search(accuracy)
        self.c_ = 10**power
        self.weight_, self.bias_ = (torch.from_numpy(values).to(support.image) for values in fitted(power))
        task.progress(1, 1)
        return self

    def scores(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """``image @ weight.T + bias``.

        Raises:
            FixedVocabulary: a name was not among those of the fit.
        """
        at = fixed_positions(vocabulary, self.task_, "linear_probe")
        return image @ self.weight_[at].T + self.bias_[at]

    def outcome(self) -> dict[str, Any]:
        """The inverse regularisation that was chosen."""
        return {"c": self.c_}

    def trainable(self) -> int:
        """Weights and biases."""
        return self.weight_.numel() + self.bias_.numel()


def _search(accuracy: Callable[[float], float]) -> float:
    """The best power of ten: grid, then bisection; of equals the smaller, that is the smoother model."""
    best = max(GRID, key=accuracy)
    low, high = best - 1, best + 1
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if accuracy(low) >= accuracy(high) else (middle, high)
    return low if accuracy(low) >= accuracy(high) else high


def _regression(
    rows: NDArray[np.float64], label: NDArray[np.int64], classes: int, c: float, max_iter: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights ``(classes, d)`` and biases ``(classes,)``; a class without a support image never wins."""
    present = np.unique(label)
    if len(present) == 1:
        weight, bias = np.zeros((1, rows.shape[1])), np.zeros(1)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # max_iter is a parameter like others, and one shot is no regression
            model = LogisticRegression(C=c, max_iter=max_iter).fit(rows, label)
        weight, bias = model.coef_, model.intercept_
        if len(present) == 2:  # the model has one row, for the second class against the first
            weight, bias = np.vstack([np.zeros_like(weight), weight]), np.concatenate([[0.0], bias])
    all_weights = np.zeros((classes, rows.shape[1]))
    all_biases = np.full(classes, -1 - np.abs(weight).sum() - np.abs(bias).max())
    all_weights[present], all_biases[present] = weight, bias
    return all_weights, all_biases


@hookimpl
def harness_register_methods(register: Register) -> None:
    """Offer the method."""
    register("linear_probe", LinearProbe)
