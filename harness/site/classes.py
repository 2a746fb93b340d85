"""Per-class figures of a domain: accuracy, confusions and thumbnails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.results.artifacts import Artifacts, MissingArtifact
from harness.site.confusion import JOINT, Counts, confusions, pack, taken_for
from harness.site.thumbnails import Thumbnails
from harness.types.labels import ScoredSide
from harness.types.leaderboard import Row

LIMIT = 8_000_000
"""Characters of all confusion matrices of a page; rows after that have none, and the page says so.

A row of nine domains of LAION-Beyond's sizes takes 114,000 when its errors are spread evenly, the worst case: 45,000
for each side among its own names and 69,000 for both among all.
"""

Place = Callable[[Any], int]
"""Stores a value that many rows share once, and returns its index."""


class Classes:
    """Per-class figures of rows. Names and confusions need stored labels and predictions.

    Args:
        thumbnails: of the classes, if the data are available.
    """

    def __init__(self, thumbnails: Thumbnails | None = None) -> None:
        self._thumbnails = thumbnails
        self._packed: dict[bytes, dict[str, Any]] = {}
        self._left = LIMIT

    def of(
        self, row: Row, artifacts: Artifacts, place: Place
    ) -> tuple[dict[str, dict[str, Any]], dict[str, int | None]]:
        """Figures of a row's classes, in the order of the names.

        Returns:
            Domain -> side -> figures, and domain -> the place of the matrix of both sides among all names (None where
            the page would become too large; domains without stored predictions have none). The figures are
            ``accuracy`` (tenths of a percent, None without images); the places of ``names``, ``captions`` that mention
            them and ``thumbnails`` (None if they are not stored); ``taken_for`` (of each class the other one it was
            named most often and how often, in tenths of a percent; empty without stored predictions); and
            ``confusion`` (the place of the whole matrix; None without stored predictions, or if the page would become
            too large).
        """
        found: dict[str, dict[str, Any]] = {}
        joint: dict[str, int | None] = {}
        for domain, sides in row.per_class.items():
            counted = confusions(row, artifacts, domain)
            for side, values in sides.items():
                scored = _scored(row, artifacts, domain, side)
                if scored is not None and len(scored.names) != len(values):
                    scored = None
                counts = counted.get(side)
                images = self._images(row.data[domain].fingerprint, side, scored)
                found.setdefault(domain, {})[side] = {
                    "accuracy": [None if value is None else round(1000 * value) for value in values],
                    "names": place(list(scored.names)) if scored is not None else None,
                    "captions": _captions(row, domain, side, place),
                    "thumbnails": place(images) if any(images) else None,
                    "taken_for": taken_for(counts) if counts is not None else [],
                    "confusion": self._place(counts, place),
                }
            if JOINT in counted:
                joint[domain] = self._place(counted[JOINT], place)
        return found, joint

    def _images(self, fingerprint: str, side: str, scored: ScoredSide | None) -> list[str | None]:
        return self._thumbnails.of(fingerprint, side, scored) if self._thumbnails is not None and scored else []

    def _place(self, counts: Counts | None, place: Place) -> int | None:
        """Index of the packed matrix; None if the page would become too large. Equal matrices are packed once."""
        if counts is None:
            return None
        key = counts.tobytes()
        if key not in self._packed:
            made = pack(counts)
            if len(made["deflated"]) > self._left:
                return None
            self._left -= len(made["deflated"])
            self._packed[key] = made
        return place(self._packed[key])


def _captions(row: Row, domain: str, side: str, place: Place) -> int | None:
    facts = row.data[domain].pretraining
    counts = () if facts is None else facts.captions.get(side, ())
    return place(list(counts)) if any(count is not None for count in counts) else None


def _scored(row: Row, artifacts: Artifacts, domain: str, side: str) -> ScoredSide | None:
    try:
        return artifacts.sheet(row.data[domain].fingerprint).sides.get(side)
    except MissingArtifact:
        return None
