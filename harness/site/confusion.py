"""Confusion matrices of a domain, packed for the page."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics.prediction_kinds import Columns
from harness.results.artifacts import Artifacts, MissingArtifact
from harness.types.leaderboard import DomainRecord, Row

Counts = NDArray[np.int64]
"""``(k, k)``: how often the images of a class (row) were given a name (column), summed over seeds."""

_STORED = ("<u1", "<u2", "<u4")

JOINT = "joint"
"""Name of the matrix of both sides among all names of the domain, the OOP names first."""


def confusions(row: Row, artifacts: Artifacts, domain: str) -> dict[str, Counts]:
    """Side, or ``joint`` -> the matrix of its classes among its names; only for matching stored predictions."""
    k = {side: len(values) for side, values in row.per_class[domain].items()}
    # Name of the matrix -> its size, and of each part the key of the predictions, the side, and its first class.
    wanted: dict[str, tuple[int, list[tuple[str, str, int]]]] = {side: (k[side], [(side, side, 0)]) for side in k}
    if k.keys() >= {"oop", "ip"}:
        wanted[JOINT] = k["oop"] + k["ip"], [("joint_oop", "oop", 0), ("joint_ip", "ip", k["oop"])]
    try:
        stored = [artifacts.predictions(digest) for digest in filter(None, row.data[domain].predictions.values())]
    except MissingArtifact:
        return {}
    made = {name: _counts(row.data[domain], artifacts, stored, size, parts) for name, (size, parts) in wanted.items()}
    return {name: counts for name, counts in made.items() if counts is not None}


def _counts(
    data: DomainRecord,
    artifacts: Artifacts,
    stored: Sequence[dict[str, Columns]],
    k: int,
    parts: Sequence[tuple[str, str, int]],
) -> Counts | None:
    counts: Counts = np.zeros(k * k, dtype=np.int64)
    for key, side, first in parts:
        try:
            label = artifacts.labels(data.fingerprint, side, data.unreadable) + first
        except MissingArtifact:
            return None
        for predicted in stored:
            named = predicted.get(key)
            if named is None or len(named) != len(label) or max(named.max(initial=0), label.max(initial=0)) >= k:
                return None
            counts += np.bincount(label * k + named, minlength=k * k)
    return counts.reshape(k, k) if counts.any() else None


def taken_for(counts: Counts) -> list[list[int] | None]:
    """For each class its most frequent wrong name, and how often in tenths of a percent; None without one."""
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
