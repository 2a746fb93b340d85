"""How certain the predictions of an image's views are, by their entropy, and which views are the most certain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def entropy(log_probability: Tensor) -> Tensor:
    """Entropy in nats ``(...)`` of log-probabilities ``(..., k)``."""
    return torch.special.entr(log_probability.exp()).sum(dim=-1)


def by_certainty(scores: Tensor) -> Tensor:
    """Views ``(m, v)`` in order of entropy, the most certain first, of scores ``(m, v, k)``; of equals the first."""
    return entropy(scores.log_softmax(dim=-1)).argsort(dim=1, stable=True)


def kept(views: int, share: float) -> int:
    """Number of views that a share keeps: rounded down as in the papers, but at least one."""
    return max(1, int(views * share))
