"""Balanced assignment of images to names: Sinkhorn on text scores and re-estimated prototypes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

SHARPNESS = (5.0, 10.0, 20.0, 30.0, 40.0)
"""Weight of the prototypes' cosines in each stage; it rises, so text decides first and image structure last."""
ROUNDS = 5
"""Rounds in each stage."""
SWEEPS = 30
"""Sinkhorn iterations."""


def sinkhorn(scores: Tensor) -> Tensor:
    """Transport plan ``(n, k)``: rows sum to one, columns to n / k (Cuturi, NeurIPS 2013).

    Row sums are exact; column sums converge with ``SWEEPS``.
    """
    if len(scores) == 0:
        return scores
    capacity = math.log(len(scores) / scores.shape[1])
    row = torch.zeros_like(scores[:, :1])
    column = torch.zeros_like(scores[:1])
    for _ in range(SWEEPS):
        column = capacity - torch.logsumexp(scores + row, dim=0, keepdim=True)
        row = -torch.logsumexp(scores + column, dim=1, keepdim=True)
    return (scores + row + column).exp()


def assign_balanced(image: Tensor, text: Tensor) -> Tensor:
    """Transport plan ``(n, k)`` from images to names.

    Args:
        image: ``(n, d)`` unit rows.
        text: ``(n, k)`` text scores, before softmax.
    """
    plan = sinkhorn(text)
    prototype = F.normalize(plan.T @ image, dim=1)
    for sharpness in SHARPNESS:
        for _ in range(ROUNDS):
            plan = sinkhorn(text + sharpness * image @ prototype.T)
            prototype = F.normalize(plan.T @ image, dim=1)
    return plan
