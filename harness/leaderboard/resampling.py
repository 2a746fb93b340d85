"""Drawing images and seeds with replacement, the same on every machine, and figures of answers weighed by the draws."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.results.predictions import Columns

REPLICATES = 2000

CHUNK = 1 << 22
"""BootstrapDraws that are held at once: replicates times images."""

COLUMNS = 512
"""Vectors of right and wrong answers that share one product, at least: images are drawn anew for each product."""

Weights = NDArray[np.float32]

Figure = Callable[[Iterable[Weights], Weights], NDArray[np.floating]]
"""``(b, n)`` weights of images in chunks of replicates, ``(n, vectors)`` right answers -> ``(replicates, vectors)``."""


def bootstrap_metric(
    fingerprint: str, side: str, n: int, answers: Iterable[dict[int, bytes]], figure: Figure
) -> dict[bytes, NDArray[np.floating]]:
    """A figure of every vector of answers in every replicate; equal ones (zero-shot with every seed) count once.

    Args:
        fingerprint: of the domain's data: with the side it decides the draw.
        side: ``oop`` or ``ip``.
        n: images of the side.
        answers: seed -> whether each image was answered rightly, n bits.
        figure: ``top1`` or ``worst_decile``.

    Returns:
        Answers -> ``(REPLICATES,)``.
    """
    vectors = list(dict.fromkeys(bits for own in answers for bits in own.values()))
    found: dict[bytes, NDArray[np.floating]] = {}
    columns = max(COLUMNS, CHUNK // n)
    for start in range(0, len(vectors), columns):
        part = vectors[start : start + columns]
        bits = np.stack([np.frombuffer(vector, dtype=np.uint8) for vector in part], axis=1)
        right = np.unpackbits(bits, axis=0, count=n).astype(np.float32)
        in_replicates = np.ascontiguousarray(figure(bootstrap_counts(fingerprint, side, n), right).T)
        found |= zip(part, in_replicates, strict=True)
    return found


def top1(weights: Iterable[Weights], right: Weights) -> NDArray[np.floating]:
    """Accuracy of each vector of answers in every replicate.

    Args:
        weights: how often each image is drawn ``(b, n)``, in chunks of b replicates; whole numbers.
        right: whether each image was answered rightly ``(n, vectors)``, 0 or 1.

    Returns:
        ``(replicates, vectors)``.
    """
    hits: NDArray[np.floating] = np.concatenate([w @ right for w in weights])
    return hits / len(right)


def worst_decile(weights: Iterable[Weights], right: Weights, label: Columns) -> NDArray[np.floating]:
    """Mean accuracy of the classes that are the worst tenth on all images; as ``top1``, with labels ``(n,)``.

    The classes stay those of the figure. Chosen anew in every replicate they would be those that drew badly: that
    counts the noise of choosing twice, and the replicates lie below the figure by as much as the figure lies below the
    truth. In simulated domains of 54 classes with 50 images and 113 with 200, the 95 % interval of such replicates held
    the truth in 25 to 81 of 100 cases, this one in 79 to 93.
    """
    members = [np.flatnonzero(label == c) for c in np.unique(label)]
    accuracy = np.stack([right[images].mean(axis=0, dtype=np.float64) for images in members])
    size = max(1, len(members) // 10)
    worst = np.argsort(accuracy, axis=0, kind="stable")[:size]
    found = []
    for w in weights:
        total = np.zeros((len(w), right.shape[1]))
        for c in np.unique(worst):
            vectors = np.flatnonzero((worst == c).any(axis=0))
            of_class = w[:, members[c]]
            drawn = of_class.sum(axis=1, dtype=np.float64)[:, None]
            hits = of_class @ right[np.ix_(members[c], vectors)]
            # A class without a drawn image tells nothing new.
            total[:, vectors] += np.where(drawn > 0, hits / np.maximum(drawn, 1), accuracy[c, vectors])
        found.append(total / size)
    return np.concatenate(found)


def bootstrap_counts(fingerprint: str, side: str, n: int) -> Iterator[Weights]:
    """How often each of n images is drawn ``(b, n)``, in chunks of b replicates. Counts are exact in this type."""
    generator = _generator(f"{fingerprint}/{side}/{n}")
    size = max(1, CHUNK // n)
    for start in range(0, REPLICATES, size):
        b = min(size, REPLICATES - start)
        picks = generator.integers(0, n, (b, n), dtype=np.uint32).astype(np.int64)
        picks += np.arange(b)[:, None] * n
        yield np.bincount(picks.ravel(), minlength=b * n).reshape(b, n).astype(np.float32)


def drawn_seeds(fingerprint: str, seeds: Sequence[int]) -> NDArray[np.float64]:
    """The weight of each seed in every replicate ``(REPLICATES, seeds)``."""
    k = len(seeds)
    picks = _generator(f"{fingerprint}/{list(seeds)}").integers(0, k, (REPLICATES, k))
    return np.stack([(picks == i).mean(axis=1) for i in range(k)], axis=1)


def _generator(text: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(int(hashlib.sha256(text.encode()).hexdigest(), 16)))
