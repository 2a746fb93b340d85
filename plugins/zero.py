"""ZERO: the views of a test image vote, the most certain of them alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper

from ._certain_views import by_certainty, kept
from ._training import Fraction
from ._view_method import ViewMethod
from ._vocabulary import zero_shot_text

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.images import Images
    from harness.types.vocabulary import Vocabulary


@dataclass
class Zero(ViewMethod):
    """Zero-shot predictions of an image's most certain views vote on its name (Farina et al., NeurIPS 2024).

    Each view votes for the name that is most similar to it. The ``keep`` views whose zero-shot probabilities have the
    lowest entropy count. The first view, in order of entropy, that votes for one of several names with equally many
    votes decides: first the views that were left out, as the authors do, then those that count.

    Scores are numbers of votes, and no probabilities. The authors' 30% of fewer than four views is no view; here at
    least one counts.
    """

    paper = Paper(
        "Farina et al.",
        "Frustratingly Easy Test-Time Adaptation of Vision-Language Models",
        "NeurIPS",
        2024,
        "https://arxiv.org/abs/2405.18330",
    )
    presets = {"paper": {"test_views": 64, "keep": 0.3}}  # noqa: RUF012 - read only

    keep: Fraction = 0.3
    """Share of the views that vote; at least one does."""

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Votes for each name, and less than one vote to break ties."""
        text = zero_shot_text(self.task_, vocabulary)
        return votes(self.task_.logit_scale * images.features @ text.T, self.keep)


def votes(scores: Tensor, keep: float) -> Tensor:
    """Votes ``(m, k)`` of the most certain views.

    Args:
        scores: ``(m, v, k)`` zero-shot scores of v views.
        keep: share of the views that vote.
    """
    ordered = by_certainty(scores)
    ballot = F.one_hot(scores.argmax(dim=2), scores.shape[2]).to(scores.dtype)
    ballot = ballot.gather(1, ordered[..., None].expand_as(ballot))
    count, views = kept(scores.shape[1], keep), scores.shape[1]
    asked = torch.cat([ballot[:, count:], ballot[:, :count]], dim=1)  # in order, where votes are equal
    earlier = torch.arange(views, 0, -1, dtype=scores.dtype, device=scores.device) / (views + 1)
    return ballot[:, :count].sum(dim=1) + (asked * earlier[:, None]).amax(dim=1)


@hookimpl
def harness_method() -> type[Zero]:
    """Return the method."""
    return Zero
