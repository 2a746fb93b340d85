"""Drawing images and seeds with replacement, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness.metrics.prediction_kinds import Columns
from harness.metrics.replicates import Measure, Values, Weights

REPLICATES = 2000

CHUNK = 1 << 22
"""Counts that are held at once: replicates times images."""

COLUMNS = 512
"""Vectors of right and wrong answers that share one product, at least: images are drawn anew for each product."""


def bootstrap_measure(
    measure: Measure, fingerprint: str, side: str, label: Columns, vectors: Iterable[bytes]
) -> dict[bytes, Values]:
    """A measure of every vector of answers in every replicate; equal vectors are measured once.

    Args:
        measure: from how often images are drawn to values.
        fingerprint: of the domain's data: with the side it decides the draw.
        side: ``oop`` or ``ip``.
        label: of the side's images ``(n,)``.
        vectors: whether each image was answered rightly, n bits.

    Returns:
        Vector -> ``(REPLICATES,)``.
    """
    vectors, n = list(dict.fromkeys(vectors)), len(label)
    found: dict[bytes, Values] = {}
    columns = max(COLUMNS, CHUNK // n)
    for start in range(0, len(vectors), columns):
        part = vectors[start : start + columns]
        bits = np.stack([np.frombuffer(vector, dtype=np.uint8) for vector in part], axis=1)
        right = np.unpackbits(bits, axis=0, count=n).astype(np.float32)
        values = measure(bootstrap_counts(fingerprint, side, n), right, label)
        found |= zip(part, np.ascontiguousarray(values.T), strict=True)
    return found


def bootstrap_counts(fingerprint: str, side: str, n: int) -> Iterator[Weights]:
    """How often each of n images is drawn ``(b, n)``, in chunks of b replicates; exact in this type."""
    generator = _generator(f"{fingerprint}/{side}/{n}")
    size = max(1, CHUNK // n)
    for start in range(0, REPLICATES, size):
        b = min(size, REPLICATES - start)
        picks = generator.integers(0, n, (b, n), dtype=np.uint32).astype(np.int64)
        picks += np.arange(b)[:, None] * n
        yield np.bincount(picks.ravel(), minlength=b * n).reshape(b, n).astype(np.float32)


@lru_cache(maxsize=256)  # 48 kB each with three seeds; the rows of a domain have the same few
def drawn_seeds(fingerprint: str, seeds: tuple[int, ...]) -> NDArray[np.float64]:
    """The weight of each seed in every replicate ``(REPLICATES, seeds)``; it cannot be written to."""
    k = len(seeds)
    picks = _generator(f"{fingerprint}/{list(seeds)}").integers(0, k, (REPLICATES, k))
    weights = np.stack([(picks == i).mean(axis=1) for i in range(k)], axis=1)
    weights.setflags(write=False)
    return weights


def _generator(text: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(int(hashlib.sha256(text.encode()).hexdigest(), 16)))
