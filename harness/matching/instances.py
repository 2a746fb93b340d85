"""Synthetic problems for tests and benchmarks. Times on real CLIP features can differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


def clip_like(seed: int, batch: int, n: int, m: int, dimension: int = 512) -> tuple[Rows, Rows]:
    """Prototypes (batch, n, dimension) and names (batch, m, dimension) as crowded and confusable as CLIP's.

    All rows share a cone, about ten names share a superclass, and names closer to the axis of the cone than others
    attract every prototype. The constants were chosen so that 16 to 43 % of the names are the nearest
    of some prototype (a test measures this), so that matching is harder than taking the nearest.
    """
    g = np.random.default_rng(seed)
    k = max(n, m)
    superclass = np.arange(k) // 10
    groups = int(superclass[-1]) + 1 if k else 0

    cone, centres = _unit(g, batch, 1, dimension), _unit(g, batch, groups, dimension)
    names = _normalised(cone + 0.6 * centres[:, superclass] + 0.12 * _unit(g, batch, k, dimension))

    order = np.argsort(g.random((batch, k)), axis=1)
    drift = 0.6 * g.random((batch, k, 1), dtype=np.float32) * centres[:, g.integers(0, max(groups, 1), k)]
    prototypes = cone + np.take_along_axis(names, order[..., None], 1) + drift + 1.2 * _unit(g, batch, k, dimension)

    names = names + 0.3 * g.standard_normal((batch, k, 1), dtype=np.float32) * cone
    return _normalised(prototypes[:, :n]), _normalised(names[:, :m])


def uniform(seed: int, batch: int, n: int, m: int, dimension: int = 512) -> tuple[Rows, Rows]:
    """Directions drawn uniformly: no structure at all."""
    g = np.random.default_rng(seed)
    return _unit(g, batch, n, dimension), _unit(g, batch, m, dimension)


def planted(seed: int, batch: int, n: int, m: int, dimension: int = 512) -> tuple[Rows, Rows]:
    """Each prototype is near its own name (cosine 0.3): the nearest name is nearly always the match."""
    g = np.random.default_rng(seed)
    names = _unit(g, batch, max(n, m), dimension)
    order = np.argsort(g.random((batch, max(n, m))), axis=1)
    prototypes = 0.3 * np.take_along_axis(names, order[..., None], 1) + 0.954 * _unit(g, *names.shape)
    return _normalised(prototypes[:, :n]), names[:, :m]


GENERATORS: dict[str, Callable[..., tuple[Rows, Rows]]] = {
    "clip_like": clip_like,
    "uniform": uniform,
    "planted": planted,
}


def _unit(g: np.random.Generator, *shape: int) -> Rows:
    return _normalised(g.standard_normal(shape, dtype=np.float32))


def _normalised(rows: Rows) -> Rows:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)
