"""Published results to draw with ours: of the same data with the same model, and of the same kind."""

from __future__ import annotations

from collections.abc import Iterable

from harness.leaderboard.published import PublishedRow, PublishedTable
from harness.types.leaderboard import Row


def comparable(tables: Iterable[PublishedTable], row: Row) -> list[PublishedRow]:
    """The published rows of a row's data set and backbone; of another protocol, so marks, not lines."""
    printed = (one for table in tables for one in table.rows if one.other_kind is None)
    return [one for one in printed if (one.dataset, one.backbone) == (row.dataset, row.backbone)]
