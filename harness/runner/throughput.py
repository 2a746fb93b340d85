"""How many cells each machine or device of a run has finished, in one line."""

from __future__ import annotations

import time
from collections import Counter

from harness.progress import pluralize

SHOWN = 3
"""So many places are listed; of more, the fastest and the slowest."""


class Throughput:
    """Counts finished cells by the place where they ran."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._cells = Counter[str]()

    def count(self, place: str) -> None:
        """Count a cell; '' is the only place of a run on one device."""
        if place:
            self._cells[place] += 1

    def lines(self) -> list[str]:
        """One line, or none where there is one place."""
        if not self._cells:
            return []
        seconds = max(time.monotonic() - self._begin, 1e-9)
        rates = [f"{place} {number:,} cells ({number / seconds:.2f}/s)" for place, number in self._cells.most_common()]
        if len(rates) <= SHOWN:
            return [", ".join(sorted(rates))]
        return [f"{pluralize(len(rates), 'workers')}: {rates[0]} to {rates[-1]}"]
