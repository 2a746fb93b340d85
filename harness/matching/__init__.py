"""Matching: which cluster is which name.

    from harness.matching import match
    match(prototypes, names).columns  # (n,): the name of each prototype

One door to four backends that return the same assignment for the same input: CUDA in one launch (`cuda-fused`), CUDA
with the similarities in global memory (`cuda`), C++ on the CPU (`cpp`), and numpy with scipy (`scipy`).
"""

from harness.matching.door import BACKENDS, Backend, assign, match
from harness.matching.record import Matching

__all__ = ["BACKENDS", "Backend", "Matching", "assign", "match"]
