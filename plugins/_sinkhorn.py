"""Sinkhorn's algorithm: a transport plan that gives every name the same mass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

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
