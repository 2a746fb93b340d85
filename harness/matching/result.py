"""The result of matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", "torch.Tensor", "NDArray[Any]")  # the fields of one record differ in dtype


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Matching(Generic[Array]):
    """One-to-one assignments of maximum total cosine similarity, of a batch of b problems.

    All arrays are of the kind that was given (numpy, or torch on the same device); a single problem has no batch axis.
    """

    columns: Array
    """(b, n) int64: the name of each prototype, -1 where it has none."""

    similarity: Array
    """(b) float64: the total of each problem; NaN where the input was bad."""

    gap: Array
    """(b) float64, cosine units: dual objective minus total, the most that any other assignment could gain. 0."""

    valid: Array
    """(b) bool: False where the input holds NaN or infinity; nothing is matched there."""

    backend: str
    """Who solved it: cuda-fused, cuda, cpp or scipy."""


def record(arrays: tuple[Any, Any, Any, Any], backend: str, single: bool) -> Matching[Any]:
    """The record for arrays in the order of its fields; `single` takes the batch axis away."""
    columns, similarity, gap, valid = (array[0] if single else array for array in arrays)
    return Matching(columns, similarity, gap, valid, backend)
