"""The result of matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", "torch.Tensor", "NDArray[Any]")  # the fields of one result differ in dtype


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Matching(Generic[Array]):
    """One-to-one assignments of maximum total cosine similarity, for a batch of b problems.

    Arrays are of the same kind as the input (numpy, or torch on the same device); a single problem has no batch axis.
    """

    columns: Array
    """(b, n) int64: the name of each prototype, -1 where it has none."""

    similarity: Array
    """(b) float64: the total of each problem; NaN where the input was bad."""

    gap: Array
    """(b) float64, cosine units: dual objective minus total, the most that any other assignment could gain. 0."""

    valid: Array
    """(b) bool: False where the input contains NaN or infinity; nothing is matched there."""

    backend: str
    """The backend used: cuda-fused, cuda, cpp or scipy."""


class Solved(NamedTuple):
    """The arrays of a `Matching` as a backend on the CPU returns them, always with the batch axis."""

    columns: NDArray[np.int64]
    similarity: NDArray[np.float64]
    gap: NDArray[np.float64]
    valid: NDArray[np.bool_]

    @classmethod
    def empty(cls, batch: int, n: int) -> Solved:
        """Arrays to write to, in which nothing is matched."""
        return cls(
            np.full((batch, n), -1, dtype=np.int64), np.zeros(batch), np.zeros(batch), np.ones(batch, dtype=np.bool_)
        )


def to_matching(arrays: tuple[Any, Any, Any, Any], backend: str, single: bool) -> Matching[Any]:
    """The `Matching` of arrays in the order of its fields; `single` removes the batch axis."""
    columns, similarity, gap, valid = (array[0] if single else array for array in arrays)
    return Matching(columns, similarity, gap, valid, backend)
