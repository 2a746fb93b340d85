"""Images to names with equal capacities: optimal transport on text scores and re-estimated prototypes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

SHARPNESS = (5.0, 10.0, 20.0, 30.0, 40.0)
"""Weights of the prototypes' cosines, one stage after the other: text decides first, the images' own structure last."""
ROUNDS = 5
"""Of each stage."""
SWEEPS = 30


def sinkhorn(scores: Tensor) -> Tensor:
    """The plan ``(n, k)`` whose rows sum to one and whose columns take n / k images each (Cuturi, NeurIPS 2013).

    Rows are exact, columns as exact as ``SWEEPS`` rounds make them.
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


def balanced(image: Tensor, text: Tensor) -> Tensor:
    """Assign images to names: the plan ``(n, k)``.

    Args:
        image: ``(n, d)`` unit rows.
        text: ``(n, k)`` scores of the names, before softmax.
    """
    plan = sinkhorn(text)
    prototype = F.normalize(plan.T @ image, dim=1)
    for sharpness in SHARPNESS:
        for _ in range(ROUNDS):
            plan = sinkhorn(text + sharpness * image @ prototype.T)
            prototype = F.normalize(plan.T @ image, dim=1)
    return plan
