"""Matching: the one-to-one assignment of prototypes to names with maximum total cosine similarity.

    from harness.matching import match
    match(prototypes, names).columns  # (n,): the name of each prototype

Four backends return the same assignment for the same input: CUDA in one launch (`cuda-fused`), CUDA with similarities
in global memory (`cuda`), C++ on the CPU (`cpp`), and numpy with scipy (`scipy`).
"""

from harness.matching.api import assign, match
from harness.matching.backends import BACKENDS, Backend
from harness.matching.result import Matching

__all__ = ["BACKENDS", "Backend", "Matching", "assign", "match"]
