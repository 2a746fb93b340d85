"""Confident images of a pool for every class, with at most one class an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def assign_confident(probability: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Positions ``(m,)`` of images and their classes: a class takes up to ``count``, an image goes to one class.

    An image is offered to its most probable class first. A class keeps the most probable of the images that were
    offered to it, and each of the others is offered to its next class. The result does not depend on the order of the
    images (Gale and Shapley, 1962). That of Menghini et al.'s code does: an image that another one displaces is
    dropped, and one that its most probable class refuses is offered to all the others, and may be taken by several.

    Args:
        probability: ``(n, k)``.
        count: images of a class.
    """
    n, k = probability.shape
    wanted = probability.argsort(dim=1, descending=True, stable=True)
    turn = torch.zeros(n, dtype=torch.long, device=probability.device)
    own = torch.arange(n, device=probability.device)
    for _ in range(n * k + 1):
        open_ = turn < k
        offered = wanted[own, turn.clamp_max(k - 1)]
        value = probability[own, offered]
        # Rank of every image among those that are offered to its class, the most probable first.
        order = value.argsort(descending=True, stable=True)
        order = order[open_[order]]
        order = order[offered[order].argsort(stable=True)]
        taken = offered[order]
        start = torch.searchsorted(taken, taken, right=False)
        rank = torch.arange(len(taken), device=taken.device) - start
        refused = order[rank >= count]
        if len(refused) == 0:
            break
        turn[refused] += 1
    index = order.sort().values
    return index, offered[index]
