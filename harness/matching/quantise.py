"""Cosine similarity as integers, in exact arithmetic: the definition that csrc/ reproduces bit for bit.

A row is first rounded to a grid: multiplied by a power of two that brings its largest entry to `grid_bits` bits, then
rounded to integers. Products of such rows have at most 53 bits however far they are summed, so that float64 adds
them without rounding, in any order: BLAS, threads, vector width and tensor cores cannot change the result. Cosines are
stored as Q3.28: integers in units of 2^-28.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

UNIT = 2**28
"""1.0 in Q3.28; kUnit in csrc/common.hpp, which a test compares."""


def grid_bits(dimension: int) -> int:
    """Bits of a grid entry: dimension * 2^(2 bits) <= 2^53, and at most 22, which three int8 digits represent."""
    log = max(dimension - 1, 0).bit_length()
    return min(22, (53 - log) // 2)


def grid(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows (..., d) rounded to integers of at most 2^grid_bits; zero rows stay zero."""
    wide = rows.astype(np.float64)
    _, exponent = np.frexp(np.abs(wide).max(axis=-1, keepdims=True, initial=0.0))
    whole: NDArray[np.float64] = np.rint(np.ldexp(wide, grid_bits(rows.shape[-1]) - exponent))
    return whole


def quantised_similarity(prototypes: NDArray[np.float32], names: NDArray[np.float32]) -> NDArray[np.int32]:
    """rint(cos * 2^28), shape (..., n, m), of finite rows (..., n, d) and (..., m, d); 0 where a row is zero.

    Each cosine is within 2^-29 of the cosine of the two grid rows; see `error_bound` for the original rows.
    """
    p, t = grid(prototypes), grid(names)
    cosine = p @ np.swapaxes(t, -1, -2) * (_inverse_norm(p)[..., :, None] * _inverse_norm(t)[..., None, :])
    whole: NDArray[np.int32] = np.rint(cosine * UNIT).astype(np.int32)
    return whole


def _inverse_norm(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norm: NDArray[np.float64] = np.sqrt((rows * rows).sum(axis=-1))
    return np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)


def error_bound(dimension: int) -> float:
    """Largest difference between a stored cosine and the real one: 2^-29 and the rounding of two rows to the grid.

    An entry moves by at most 1/2 and a row is at least 2^(bits - 1) long, so its direction turns by at most
    sqrt(d) / 2^bits. This is the worst case; on Gaussian rows of 512 dimensions the
    root mean square was measured as 1.8e-8, on the CLIP-like ones as 1.7e-8 (a float32 product of these: 1.2e-7).
    """
    return 2.0**-29 + 2.0 * math.sqrt(dimension) / 2.0 ** grid_bits(dimension)
