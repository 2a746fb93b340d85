"""A domain class by class: how often each concept was named rightly, what it was taken for, and what it looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.leaderboard.evidence import Evidence, Lacking
from harness.site.confusion import Counts, confusion, pack, taken_for
from harness.site.thumbnails import Thumbnails
from harness.types.labels import ScoredSide
from harness.types.leaderboard import Row

LIMIT = 8_000_000
"""Characters of all confusion matrices of a page; rows after that have none, and the page says so.

A row of nine domains of LAION-Beyond's sizes takes 43,000 when its errors are spread evenly, the worst case.
"""

Place = Callable[[Any], int]
"""Puts what many rows share where it is written once."""


class Classes:
    """Per-class figures of rows. Names and confusions come from labels and predictions where they were kept.

    Args:
        thumbnails: of the classes, where the data are at hand.
    """

    def __init__(self, thumbnails: Thumbnails | None = None) -> None:
        self._thumbnails = thumbnails
        self._packed: dict[bytes, dict[str, Any]] = {}
        self._left = LIMIT

    def of(self, row: Row, evidence: Evidence, place: Place) -> dict[str, dict[str, Any]]:
        """Domain -> side -> figures of its classes, in the order of the names.

        Returns:
            For each side ``accuracy`` (tenths of a percent, None without images), ``names`` and ``thumbnails`` (their
            places, None if they were not kept), ``taken_for`` (of each class the other one it was named most often and
            how often, in tenths of a percent; empty where predictions were not kept) and ``confusion`` (the place of
            the whole matrix; None where predictions were not kept, or the page would become too large).
        """
        found: dict[str, dict[str, Any]] = {}
        for domain, sides in row.per_class.items():
            for side, values in sides.items():
                scored = _scored(row, evidence, domain, side)
                if scored is not None and len(scored.names) != len(values):
                    scored = None
                counts = confusion(row, evidence, domain, side, len(values))
                matrix = self._pack(counts) if counts is not None else None
                images = self._images(row.data[domain].fingerprint, side, scored)
                found.setdefault(domain, {})[side] = {
                    "accuracy": [None if value is None else round(1000 * value) for value in values],
                    "names": place(list(scored.names)) if scored is not None else None,
                    "thumbnails": place(images) if any(images) else None,
                    "taken_for": taken_for(counts) if counts is not None else [],
                    "confusion": place(matrix) if matrix is not None else None,
                }
        return found

    def _images(self, fingerprint: str, side: str, scored: ScoredSide | None) -> list[str | None]:
        return self._thumbnails.of(fingerprint, side, scored) if self._thumbnails is not None and scored else []

    def _pack(self, counts: Counts) -> dict[str, Any] | None:
        """The packed matrix, or None if it would make the page too large; an equal one stands there already."""
        key = counts.tobytes()
        if key not in self._packed:
            made = pack(counts)
            if len(made["deflated"]) > self._left:
                return None
            self._left -= len(made["deflated"])
            self._packed[key] = made
        return self._packed[key]


def _scored(row: Row, evidence: Evidence, domain: str, side: str) -> ScoredSide | None:
    try:
        return evidence.sheet(row.data[domain].fingerprint).sides.get(side)
    except Lacking:
        return None
