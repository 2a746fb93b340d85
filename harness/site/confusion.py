"""Which concept was taken for which: the confusion matrix of one side of a domain, small enough to stand in a page."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.leaderboard.evidence import Evidence, Lacking
from harness.types.leaderboard import Row

Counts = NDArray[np.int64]
"""``(k, k)``: how often the images of a class (row) were given a name (column), summed over seeds."""

_STORED = ("<u1", "<u2", "<u4")


def confusion(row: Row, evidence: Evidence, domain: str, side: str, k: int) -> Counts | None:
    """The matrix of a side's k classes among its names; None where predictions were not kept or do not fit."""
    data = row.data[domain]
    counts: Counts = np.zeros(k * k, dtype=np.int64)
    try:
        label = evidence.labels(data.fingerprint, side, data.unreadable)
        for digest in filter(None, data.predictions.values()):
            named = evidence.predictions(digest).get(side)
            if named is None or len(named) != len(label) or max(named.max(initial=0), label.max(initial=0)) >= k:
                return None
            counts += np.bincount(label * k + named, minlength=k * k)
    except Lacking:
        return None
    return counts.reshape(k, k) if counts.any() else None


def taken_for(counts: Counts) -> list[list[int] | None]:
    """Of each class the other one that it was named most often, and how often in tenths of a percent; None for none."""
    total, others = counts.sum(axis=1), counts.copy()
    np.fill_diagonal(others, 0)
    worst = others.argmax(axis=1)
    return [
        [int(other), round(1000 * others[i, other] / total[i])] if others[i, other] else None
        for i, other in enumerate(worst)
    ]


def pack(counts: Counts) -> dict[str, Any]:
    """The matrix row by row, for the page's script: numbers of ``bytes`` bytes each, deflated, in base64."""
    kind = next(t for t in _STORED if counts.max() <= np.iinfo(t).max)
    content = base64.b64encode(zlib.compress(counts.astype(kind).tobytes(), 9)).decode()
    return {"bytes": np.dtype(kind).itemsize, "deflated": content}
