"""A domain class by class: how often each concept was named rightly, and what it was taken for most often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.leaderboard.evidence import Evidence, Lacking
from harness.types.leaderboard import Row


class Classes:
    """Per-class figures of rows. Names and confusions come from labels and predictions where they were kept."""

    def of(self, row: Row, evidence: Evidence, place: Callable[[Any], int]) -> dict[str, dict[str, Any]]:
        """Domain -> side -> figures of its classes, in the order of the names.

        Args:
            row: the row.
            evidence: what it rests on.
            place: puts what many rows share where it is written once.

        Returns:
            For each side ``accuracy`` (tenths of a percent, None without images), ``names`` (its place, None if they
            were not kept) and ``taken_for`` (of each class the other one it was named most often and how often, in
            tenths of a percent; empty where predictions were not kept).
        """
        found: dict[str, dict[str, Any]] = {}
        for domain, sides in row.per_class.items():
            for side, values in sides.items():
                accuracy = [None if value is None else round(1000 * value) for value in values]
                names = _names(row, evidence, domain, side)
                fits = names is not None and len(names) == len(values)
                found.setdefault(domain, {})[side] = {
                    "accuracy": accuracy,
                    "names": place(list(names)) if fits and names is not None else None,
                    "taken_for": _confusions(row, evidence, domain, side, len(values)),
                }
        return found


def _names(row: Row, evidence: Evidence, domain: str, side: str) -> tuple[str, ...] | None:
    try:
        sides = evidence.sheet(row.data[domain].fingerprint).sides
    except Lacking:
        return None
    return sides[side].names if side in sides else None


def _confusions(row: Row, evidence: Evidence, domain: str, side: str, k: int) -> list[list[int] | None]:
    """Of each class ``[other class, tenths of a percent]``, summed over seeds; None for one without a mistake."""
    data = row.data[domain]
    counts: NDArray[np.int64] = np.zeros((k, k), dtype=np.int64)
    try:
        label = evidence.labels(data.fingerprint, side, data.unreadable)
        for digest in filter(None, data.predictions.values()):
            predicted = evidence.predictions(digest).get(side)
            if predicted is None or len(predicted) != len(label) or predicted.max(initial=0) >= k:
                return []
            np.add.at(counts, (label, predicted), 1)
    except (Lacking, IndexError):
        return []
    total = counts.sum(axis=1)
    if not total.any():
        return []
    np.fill_diagonal(counts, 0)
    worst = counts.argmax(axis=1)
    return [
        [int(other), round(1000 * counts[i, other] / total[i])] if total[i] and counts[i, other] else None
        for i, other in enumerate(worst)
    ]
