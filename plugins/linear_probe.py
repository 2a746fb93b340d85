"""Linear probe: logistic regression on frozen image features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.paper import Paper
from harness.types.task import Needs

from ._grid_search import first_of_best, middle_of_best
from ._training import Fraction, PositiveFloat, PositiveInt
from ._vocabulary import require_fitted_positions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

GRID = tuple(float(power) for power in range(-6, 7))
"""Candidate exponents of C, base 10."""

BISECTIONS = 8
"""Bisection steps of the paper's search."""


@dataclass
class LinearProbe(Method):
    """Logistic regression on frozen image features (Radford et al., ICML 2021).

    The inverse regularisation C is chosen on the few-shot validation draw: the middle of the best of ``GRID``. The
    preset ``paper`` searches as LAION-Beyond's code, which is CoOp's: the best of every second power, ties to the
    largest, then eight bisection steps on a logarithmic scale between a tenth and ten times of it, each towards the
    better end, ties to the lower. That code draws its support differently, from augmented images. Names are not used,
    so the vocabulary is fixed.
    """

    needs = Needs(support=True, validation=True)
    text = False
    paper = Paper(
        "Radford et al.",
        "Learning Transferable Visual Models From Natural Language Supervision",
        "ICML",
        2021,
        "https://arxiv.org/abs/2103.00020",
    )
    presets = {"paper": {"search": "paper"}}  # noqa: RUF012 - read only

    c: PositiveFloat | None = None
    """Inverse regularisation; None: chosen on the validation draw."""
    search: Literal["grid", "paper"] = "grid"
    """Search for C: the middle of the best of a grid, or the paper's bisection."""
    max_iter: PositiveInt = 1000
    """Maximum number of solver iterations."""
    views: PositiveInt = 1
    """Views of each support image; every view is a row."""
    crop: Fraction = 0.08
    """Minimum area of a view's crop, as a share of the image."""

    def fit(self, task: Task) -> Self:
        """Choose C and fit the weights."""
        self.task_ = task
        support = task.support
        rows = support.features.flatten(0, 1).double().cpu().numpy()
        label = support.label.repeat_interleave(support.features.shape[1]).cpu().numpy()
        image, truth = (t.cpu().numpy() for t in (task.validation.features[:, 0].double(), task.validation.label))

        @cache
        def fitted(power: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            return _regression(rows, label, len(task.names), 10**power, self.max_iter)

        def right(power: float) -> int:
            weight, bias = fitted(power)
            return int(((image @ weight.T + bias).argmax(axis=1) == truth).sum())

        search = _middle if self.search == "grid" else _bisection
        power = float(np.log10(self.c)) if self.c is not None else search(right)
        self.c_ = 10**power
        self.weight_, self.bias_ = (torch.from_numpy(values).to(support.features) for values in fitted(power))
        task.progress(1, 1)
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``image @ weight.T + bias``.

        Raises:
            FixedVocabulary: a name was not fitted.
        """
        at = require_fitted_positions(vocabulary, self.task_, "linear_probe")
        return images.features[:, 0] @ self.weight_[at].T + self.bias_[at]

    def outcome(self) -> dict[str, Any]:
        """The chosen inverse regularisation."""
        return {"c": self.c_}

    def trainable(self) -> int:
        """Elements of weights and biases."""
        return self.weight_.numel() + self.bias_.numel()


def _middle(right: Callable[[float], int]) -> float:
    """The best power of the grid; ties go to the middle."""
    return GRID[middle_of_best([right(power) for power in GRID])[0]]


def _bisection(right: Callable[[float], int]) -> float:
    """CoOp's search: the best of every second power (ties: largest), refined by bisection (ties: lower end)."""
    coarse = GRID[::-2]
    best = coarse[first_of_best([right(power) for power in coarse])[0]]
    low, high = best - 1, best + 1
    for _ in range(BISECTIONS):
        middle, rising = (low + high) / 2, right(high) > right(low)
        best = high if rising else low
        low, high = (middle, high) if rising else (low, middle)
    return best


def _regression(
    rows: NDArray[np.float64], label: NDArray[np.int64], classes: int, c: float, max_iter: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights ``(classes, d)`` and biases ``(classes,)``; a class without a support image never wins."""
    present = np.unique(label)
    if len(present) == 1:
        weight, bias = np.zeros((1, rows.shape[1])), np.zeros(1)
    else:
        from sklearn.linear_model import LogisticRegression  # here, because it takes a second to import

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # max_iter may be reached on purpose, and one shot is fine here
            model = LogisticRegression(C=c, max_iter=max_iter).fit(rows, label)
        weight, bias = model.coef_, model.intercept_
        if len(present) == 2:  # binary model: one row, second class against first
            weight, bias = np.vstack([np.zeros_like(weight), weight]), np.concatenate([[0.0], bias])
    all_weights = np.zeros((classes, rows.shape[1]))
    all_biases = np.full(classes, -1 - np.abs(weight).sum() - np.abs(bias).max())
    all_weights[present], all_biases[present] = weight, bias
    return all_weights, all_biases


@hookimpl
def harness_method() -> type[LinearProbe]:
    """Return the method."""
    return LinearProbe
