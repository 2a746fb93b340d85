"""A stage of work as lines of text: how far it is, what runs now, and the last result."""

from __future__ import annotations

import time
from collections.abc import Sequence

from harness.progress import pluralize

BAR = 24
"""Width of a bar; a narrow terminal has shorter ones, or none."""

MOST = 4
"""Most lines of what runs."""


class StageProgress:
    """A stage of work and how far it is.

    Args:
        name: what is done.
        total: number of units, None if unknown.
        unit: in the plural.

    Attributes:
        now: what runs.
        last: the last result, or empty.
    """

    def __init__(self, name: str, total: int | None, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.now: Sequence[str] = ()
        self.last = ""
        self.done, self._begin = 0, time.monotonic()

    def advance(self, more: int) -> None:
        """Count newly completed units."""
        self.done += more

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._begin

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.done / max(self.seconds, 1e-9)

    @property
    def count(self) -> str:
        """Such as ``41 of 90 cells``; ``41 cells`` if the total is unknown."""
        if self.total is None:
            return pluralize(self.done, self.unit)
        return f"{self.done:,} of {pluralize(self.total, self.unit)}"

    def line(self, width: int) -> str:
        """Name, bar, count, time and rate, as far as they fit."""
        parts = [self.name, self.count, clock(self.seconds)]
        if self.total is not None and 0 < self.done < self.total and self.seconds > 1:
            parts += [f"{clock((self.total - self.done) / self.rate)} left"]
        if self.seconds > 1 and self.rate >= 2:
            parts += [f"{self.rate:,.0f}/s"]
        while len(parts) > 2 and len("  ".join(parts)) > width:
            parts.pop()
        room = min(BAR, width - len("  ".join(parts)) - 2)
        if room >= BAR // 3 and self.total is not None:
            filled = room * self.done // max(self.total, self.done, 1)
            parts.insert(1, "━" * filled + "┄" * (room - filled))
        return "  ".join(parts)

    def lines(self, width: int) -> list[str]:
        """The line, and what runs and the last result below it."""
        lines = [self.line(width), *(f"  now: {what}" for what in self.now[:MOST])]
        lines += [f"  and {len(self.now) - MOST} more"] if len(self.now) > MOST else []
        return lines + ([f"  last: {self.last}"] if self.last else [])


def clock(seconds: float) -> str:
    """A time such as ``0:07``, ``12:30`` or ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
