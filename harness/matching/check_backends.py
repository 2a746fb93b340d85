"""Compare backends with the C++ solver on this machine: for `harness doctor`, and before kernels are timed.

All backends are exact and deterministic, so that the result is unique to the bit. Without this check, a kernel that is
wrong on some model of GPU would look fast: no timings are written where backends differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from harness.errors import UserError
from harness.matching import instances
from harness.matching.api import match

FIELDS = ("columns", "similarity", "gap", "valid")


def require_same(prototypes: Any, names: Any, backends: Iterable[str]) -> None:
    """Check that each backend returns the same bits as "cpp" for one batch, given as for `match`.

    Raises:
        UserError: one does not.
    """
    expected = match(prototypes, names, backend="cpp")
    for backend in backends:
        found = match(prototypes, names, backend=backend)  # type: ignore[call-overload]
        wrong = [field for field in FIELDS if not _equal(getattr(found, field), getattr(expected, field))]
        if wrong:
            shape = f"{tuple(prototypes.shape)} prototypes and {tuple(names.shape)} names"
            hint = "use backend='cpp' on this machine, and report this with the output of `harness doctor`"
            raise UserError(f"backend {backend!r} differs from 'cpp' in {', '.join(wrong)} for {shape}", hint)


def problems() -> Iterator[tuple[instances.Rows, instances.Rows]]:
    """Small batches (b, n, d) and (b, m, d) that exercise most of a solver, for `require_same`.

    Squares, both kinds of rectangles, edges of tiles, ties, zero rows, bad numbers, prices that have to decrease.
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


def _equal(found: Any, expected: Any) -> bool:
    one, other = (x if isinstance(x, np.ndarray) else x.cpu().numpy() for x in (found, expected))
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
