"""Graphs of nearest neighbours, as edge lists in both directions, and label propagation on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from ._clustering import nearest_neighbours

if TYPE_CHECKING:
    from torch import Tensor


class Graph(NamedTuple):
    """Edges of a symmetric graph, each in both directions: weights, heads and tails ``(e,)``."""

    weight: Tensor
    head: Tensor
    tail: Tensor

    @classmethod
    def symmetric(cls, weight: Tensor, head: Tensor, tail: Tensor) -> Graph:
        """The graph with the sum of the weights of both directions."""
        return cls(torch.cat([weight, weight]), torch.cat([head, tail]), torch.cat([tail, head]))

    @classmethod
    def of_neighbours(cls, row: Tensor, neighbours: int) -> Graph:
        """Edges between rows ``(n, d)`` and their nearest ones, by the mean non-negative cosine of both directions."""
        weight, index = nearest_neighbours(row, neighbours) if len(row) > 1 else (row[:, :0], row[:, :0].long())
        own = torch.arange(len(row), device=row.device).repeat_interleave(index.shape[1])
        return cls.symmetric(weight.clamp_min(0).flatten() / 2, own, index.flatten())

    def pull(self, values: Tensor, into: Tensor) -> Tensor:
        """``into + W @ values``, both ``(n, k)``."""
        return into.index_add(0, self.head, self.weight[:, None] * values[self.tail])

    def normalised(self, nodes: int) -> tuple[Graph, Tensor]:
        """``D^-1/2 W D^-1/2``, and ``D^-1/2`` ``(nodes,)``, which is zero for a node without edges."""
        degree = self.weight.new_zeros(nodes).index_add(0, self.head, self.weight)
        root = torch.where(degree > 0, degree.clamp_min(1e-30).rsqrt(), torch.zeros_like(degree))
        return self._replace(weight=root[self.head] * self.weight * root[self.tail]), root


def propagate(graph: Graph, start: Tensor, share: float, rounds: int = 50, tolerance: float = 1e-6) -> Tensor:
    """``(I - share * A)^-1 start`` ``(n, k)`` for a normalised graph A, by conjugate gradient.

    Args:
        graph: eigenvalues between -1 and 1.
        start: ``(n, k)``.
        share: at least 0, below 1.
        rounds: iterations at most.
        tolerance: largest remaining residual of a column, relative to the start's norm.
    """
    found, residual = torch.zeros_like(start), start
    direction, square = residual, residual.square().sum(dim=0)
    least = (tolerance**2) * square
    for _ in range(rounds):
        if bool((square <= least).all()):
            break
        turned = direction - share * graph.pull(direction, torch.zeros_like(direction))
        step = square / (direction * turned).sum(dim=0).clamp_min(1e-30)
        found, residual = found + step * direction, residual - step * turned
        before, square = square, residual.square().sum(dim=0)
        direction = residual + square / before.clamp_min(1e-30) * direction
    return found
