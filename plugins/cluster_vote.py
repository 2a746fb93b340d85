"""Cluster, vote, assign: the images of a cluster vote for its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.task import Needs

from ._matched import assigned
from .kmeans_naming import KMeansNaming

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task


@dataclass
class ClusterVote(KMeansNaming):
    """k-means clusters, named one-to-one by the votes of their images (Zhang et al., AAAI 2024).

    The first two steps of the paper's cluster-vote-prompt-realign, once, for a vocabulary that holds the pool's names
    and no others. Its further steps are not here: more rounds over a large vocabulary, prompts written by a language
    model, and the image encoder that is trained on the result.
    """

    needs = Needs(unlabeled=True, clusters=True, vocabulary=True)
    paper = "Zhang et al., AAAI 2024"
    presets = {"paper": {}}  # noqa: RUF012

    score: Literal["vote", "centroid", "sum"] = "vote"
    """What a cluster's name is chosen by: the share of its images whose zero-shot answer it is, the cosine of its mean
    with the prompt, or both."""

    def match_names(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(clusters,)`` names, -1 for none: the assignment of greatest total."""
        if self.score == "centroid":
            return super().match_names(task, pool, text)
        votes = torch.zeros(len(self.mean_), len(text), dtype=pool.dtype, device=pool.device)
        answer = F.one_hot((pool @ text.T).argmax(dim=1), len(text)).to(pool.dtype)
        votes.index_add_(0, self.cluster_, answer)
        share = votes / votes.sum(dim=1, keepdim=True).clamp_min(1)
        if self.score == "sum":
            share = share + self.mean_ @ text.T
        return assigned(share)


@hookimpl
def harness_method() -> type[ClusterVote]:
    """Return the method."""
    return ClusterVote
