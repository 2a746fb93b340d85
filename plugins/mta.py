"""MTA: classify the mode of a test image's views, found by mean shift that leaves outliers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper

from ._certain_views import kept
from ._training import Fraction, NonNegativeFloat, PositiveFloat
from ._view_method import ViewMethod
from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.images import Images
    from harness.types.vocabulary import Vocabulary

ROUNDS = 5
"""Rounds of mode and inlierness, and steps of each in a round. The authors stop earlier where nothing changes."""


@dataclass
class MTA(ViewMethod):
    """Zero-shot on the mode of an image's views, whose inlierness is learned (Zanella and Ben Ayed, CVPR 2024).

    View p of an image has features ``x_p``, and inlierness ``y_p``; ``m`` is the mode. Two steps alternate:

    - ``y = softmax((g + affinity * A @ y) / spread)``, with ``g_p = exp(-|m - x_p|^2 / (2 h_p^2))`` and ``A`` the dot
      products of the views' zero-shot probabilities;
    - ``m = normalised sum of g_p y_p x_p``.

    ``h_p^2`` is half the mean squared distance of a view to its nearest ``neighbours``. With fewer than five views the
    authors' 30% of the others is none, and their mode is not a number; here a view has at least one neighbour, and one
    view alone is zero-shot.
    """

    paper = Paper(
        "Zanella and Ben Ayed",
        "On the test-time zero-shot generalization of vision-language models: Do we really need prompt learning?",
        "CVPR",
        2024,
        "https://arxiv.org/abs/2405.02266",
    )
    presets = {"paper": {"test_views": 64, "neighbours": 0.3, "affinity": 4.0, "spread": 0.2}}  # noqa: RUF012

    neighbours: Fraction = 0.3
    """Share of the other views that the bandwidth of a view is computed from; at least one is."""
    affinity: NonNegativeFloat = 4.0
    """Weight of the agreement between the predictions of views."""
    spread: PositiveFloat = 0.2
    """Temperature of the inlierness: the higher, the more equal."""

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * mode @ text.T``."""
        text, scale = zero_shot_text(self.task_, vocabulary), self.task_.logit_scale
        return scale * self._mode(images.features, scale * images.features @ text.T) @ text.T

    def _mode(self, views: Tensor, scores: Tensor) -> Tensor:
        """Unit rows ``(m, d)`` of views ``(m, v, d)`` with zero-shot scores ``(m, v, k)``."""
        probability = scores.softmax(dim=2)
        agreement = probability @ probability.transpose(1, 2)
        bandwidth = self._bandwidth(views)
        mode, inlier = views[:, 0], views.new_full(views.shape[:2], 1 / views.shape[1])
        for _ in range(ROUNDS):
            density = _density(mode, views, bandwidth)
            for _ in range(ROUNDS):
                agreeing = (agreement @ inlier[..., None])[..., 0]
                inlier = ((density + self.affinity * agreeing) / self.spread).softmax(dim=1)
            for _ in range(ROUNDS):
                weight = _density(mode, views, bandwidth) * inlier
                mode = F.normalize((weight[..., None] * views).sum(dim=1), dim=1)
        return mode

    def _bandwidth(self, views: Tensor) -> Tensor:
        """Squared bandwidths ``(m, v)``: half the mean squared distance to the nearest other views."""
        others = views.shape[1] - 1
        if not others:
            return views.new_ones(views.shape[:2])
        distance = 2 - 2 * views @ views.transpose(1, 2)  # of unit rows
        distance.diagonal(dim1=1, dim2=2).fill_(-1)  # sorted first, also before an equal view
        nearest = distance.sort(dim=2).values[:, :, 1 : 1 + kept(others, self.neighbours)]
        return (nearest.mean(dim=2) / 2).clamp_min(torch.finfo(views.dtype).eps)


def _density(mode: Tensor, views: Tensor, bandwidth: Tensor) -> Tensor:
    """``exp(-|mode - view|^2 / (2 bandwidth))``, ``(m, v)``, of unit rows."""
    return torch.exp((views @ mode[..., None] - 1)[..., 0] / bandwidth)


@hookimpl
def harness_method() -> type[MTA]:
    """Return the method."""
    return MTA
