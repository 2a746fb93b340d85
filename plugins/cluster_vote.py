"""Cluster, vote, assign: the images of a cluster vote for its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from harness.hookspecs import hookimpl
from harness.types.paper import Paper
from harness.types.task import Needs

from ._cluster_matching import assign_names
from .kmeans_naming import KMeansNaming

if TYPE_CHECKING:
    from torch import Tensor

    from harness.types.task import Task


@dataclass
class ClusterVote(KMeansNaming):
    """k-means clusters, named one-to-one by the votes of their images (Zhang et al., AAAI 2024).

    One round of the first two steps of the paper's cluster-vote-prompt-realign, for a vocabulary of exactly the pool's
    names. Not implemented: further rounds over a large vocabulary, prompts written by a language model, and training
    the image encoder.
    """

    needs = Needs(unlabeled=True, clusters=True, vocabulary=True)
    paper = Paper(
        "Zhang et al.",
        "S3A: Towards Realistic Zero-Shot Classification via Self Structural Semantic Alignment",
        "AAAI",
        2024,
        "https://arxiv.org/abs/2308.12960",
    )
    presets = KMeansNaming.presets

    score: Literal["vote", "centroid", "sum"] = "vote"
    """Score of a name for a cluster: the share of its images that zero-shot gives the name, the cosine of its mean
    with the prompt, or the sum of both."""

    def match_names(self, task: Task, pool: Tensor, text: Tensor) -> Tensor:
        """``(clusters,)`` names, -1 for none: the assignment of greatest total score."""
        if self.score == "centroid":
            return super().match_names(task, pool, text)
        votes = torch.zeros(len(self.mean_), len(text), dtype=pool.dtype, device=pool.device)
        answer = F.one_hot((pool @ text.T).argmax(dim=1), len(text)).to(pool.dtype)
        votes.index_add_(0, self.cluster_, answer)
        share = votes / votes.sum(dim=1, keepdim=True).clamp_min(1)
        if self.score == "sum":
            share = share + self.mean_ @ text.T
        return assign_names(share)


@hookimpl
def harness_method() -> type[ClusterVote]:
    """Return the method."""
    return ClusterVote
