"""Whether backends give here what the C++ solver gives: asked by `harness doctor`, and before kernels are timed.

All are exact and deterministic, so that there is one right answer to the bit. A wrong one on some model of GPU would
otherwise look like a fast one: no table of crossovers is written where they do not agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from harness.errors import UserError
from harness.matching import instances
from harness.matching.door import match

FIELDS = ("columns", "similarity", "gap", "valid")


def require(prototypes: Any, names: Any, backends: Iterable[str]) -> None:
    """See that each backend gives for one batch (as `match` takes it) what "cpp" gives, bit by bit.

    Raises:
        UserError: one does not.
    """
    expected = match(prototypes, names, backend="cpp")
    for backend in backends:
        found = match(prototypes, names, backend=backend)  # type: ignore[call-overload]
        wrong = [field for field in FIELDS if not _same(getattr(found, field), getattr(expected, field))]
        if wrong:
            shape = f"{tuple(prototypes.shape)} prototypes and {tuple(names.shape)} names"
            hint = (
                "do not use it on this machine (backend='cpp' is right), and report it with what `harness doctor` says"
            )
            raise UserError(f"backend {backend!r} differs from 'cpp' in {', '.join(wrong)} for {shape}", hint)


def problems() -> Iterator[tuple[instances.Rows, instances.Rows]]:
    """Batches (b, n, d) and (b, m, d) that take a moment and go through most of a solver: what `require` is asked for.

    Squares, both kinds of rectangles, edges of tiles, ties, rows of zeros, bad numbers, prices that have to sink.
    """
    for n, m, dimension in ((1, 1, 1), (33, 31, 33), (20, 65, 40), (66, 64, 16), (113, 113, 512)):
        yield instances.clip_like(n, 3, n, m, dimension)
    p, t = (x.copy() for x in instances.clip_like(0, 4, 40, 50, 64))
    p[0], t[1], p[2, 0, 0], t[3, 0, 0] = 0, t[1, :1], np.nan, np.inf
    yield p, t
    signs = np.random.default_rng(0).integers(-1, 2, (2, 3, 48, 3)).astype(np.float32)
    yield signs[0], signs[1]
    p, t = instances.clip_like(1, 2, 100, 110, 32)
    yield p + 4 * p[:, :1], t


def _same(found: Any, expected: Any) -> bool:
    one, other = (x if isinstance(x, np.ndarray) else x.cpu().numpy() for x in (found, expected))
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
