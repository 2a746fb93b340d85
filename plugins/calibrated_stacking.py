"""Calibrated stacking: a constant is subtracted from the scores of all IP names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from harness.hookspecs import hookimpl
from harness.inner_method import Inner, wrap
from harness.method import Method
from harness.types.paper import Paper
from harness.types.task import Needs

from ._gate import GateImages, side_columns
from ._grid_search import middle_of_best
from .zero_shot import ZeroShot

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

STEPS = 81
"""Candidate constants, from the lowest to the highest difference of the two sides' best scores."""


@dataclass
class CalibratedStacking(Method):
    """Subtracts a constant from the scores of all IP names (Chao et al., ECCV 2016).

    A method that has seen IP images, or an encoder that was pre-trained with IP names, prefers IP names in the joint
    vocabulary. ``scores[ip] -= gamma`` moves all images towards OOP names; nothing changes among the names of one side.
    Gamma maximises the harmonic mean of the accuracies on the OOP images of the few-shot validation draw and on the
    labelled IP images, the middle of the best. An inner method that is fitted to the IP images themselves is too sure
    of them, so gamma becomes too large; the paper has held-out images of both.
    """

    needs = Needs(validation=True, ip=True)
    seeded = False
    paper = Paper(
        "Chao et al.",
        "An Empirical Study and Analysis of Generalized Zero-Shot Learning for Object Recognition in the Wild",
        "ECCV",
        2016,
        "https://arxiv.org/abs/1605.04253",
    )
    presets = {"paper": {}}  # noqa: RUF012 - read only

    inner: Inner | None = None
    """Method whose scores are calibrated; None: zero-shot."""
    gamma: float | None = None
    """The constant, in units of the inner method's scores; None: chosen."""

    def __post_init__(self) -> None:
        if self.inner is not None:
            wrap(self, self.inner)

    def fit(self, task: Task) -> Self:
        """Fit the inner method and choose gamma."""
        self.fitted_ = (ZeroShot() if self.inner is None else self.inner.method()).fit(task)
        self.gamma_ = self._choose(task) if self.gamma is None else self.gamma
        if self.inner is None:
            task.progress(1, 1)
        return self

    @torch.no_grad()
    def _choose(self, task: Task) -> float:
        """The middle of the best constants."""
        images = GateImages.of(task, task.ip)
        if not images:
            return 0.0
        oop, ip = (self._scores(part, images.vocabulary) for part in (images.oop, images.ip))
        first, second = side_columns(images.vocabulary, oop.device)
        ahead = torch.cat([rows[:, second].amax(dim=1) - rows[:, first].amax(dim=1) for rows in (oop, ip)])
        gammas = torch.linspace(float(ahead.min()), float(ahead.max()), STEPS).tolist()
        given = [
            images.h_mean(*(self._moved(rows, images.vocabulary, gamma) for rows in (oop, ip))) for gamma in gammas
        ]
        return float(gammas[middle_of_best(given)[0]])

    def encode(self, images: Images) -> Images:
        """As the inner method."""
        return self.fitted_.encode(images)

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Scores of the inner method, minus gamma for IP names.

        Raises:
            FixedVocabulary: the inner method cannot score a name.
        """
        return self._moved(self.fitted_.scores(images, vocabulary), vocabulary, self.gamma_)

    def outcome(self) -> dict[str, Any]:
        """Gamma, and the outcome of the inner method."""
        return {"gamma": self.gamma_, "inner": self.fitted_.outcome()}

    def trainable(self) -> int:
        """As the inner method."""
        return self.fitted_.trainable()

    def _scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        return self.fitted_.scores(self.fitted_.encode(images), vocabulary)

    @staticmethod
    def _moved(scores: Tensor, vocabulary: Vocabulary, gamma: float) -> Tensor:
        moved = scores.clone()
        moved[:, side_columns(vocabulary, scores.device)[1]] -= gamma
        return moved


@hookimpl
def harness_method() -> type[CalibratedStacking]:
    """Return the method."""
    return CalibratedStacking
