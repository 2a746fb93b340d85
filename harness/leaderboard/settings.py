"""Which rows may stand in one table: those of one protocol, data set and backbone, with as many shots or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from harness.types.leaderboard import Row


class Setting(NamedTuple):
    """What rows must have in common to be compared: measured by the same rule on the same data and model."""

    protocol: str
    dataset: str
    backbone: str

    def title(self, shots: int) -> str:
        """The setting and the number of shots in a line."""
        drawn = f", {shots} shots" if shots else ""
        return f"{self.dataset}, {self.backbone}, {self.protocol}{drawn}"


def setting(row: Row) -> Setting:
    """The setting of a row."""
    return Setting(row.protocol, row.dataset, row.backbone)


def by_setting(rows: Iterable[Row]) -> dict[Setting, list[Row]]:
    """The rows of every setting, in order."""
    found: dict[Setting, list[Row]] = {}
    for row in rows:
        found.setdefault(setting(row), []).append(row)
    return dict(sorted(found.items()))


def by_shots(rows: Sequence[Row]) -> Iterator[tuple[int, list[Row]]]:
    """The tables of one setting: a number of shots, and its rows; those without few-shot images stand in each."""
    for shots in sorted({row.shots for row in rows if row.shots}) or [0]:
        yield shots, [row for row in rows if row.shots in (0, shots)]
