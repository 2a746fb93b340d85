"""The leaderboard of a run whose cells are in a results folder: those of one row are in memory at the same time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from harness.leaderboard.assemble import RowOrder, row_key, rows_of
from harness.types.cell import Cell, Spec
from harness.types.leaderboard import Leaderboard, RowFailure


def assemble_stored(
    specs: Iterable[Spec],
    cell_of: Callable[[str], Cell | None],
    wanted: Iterable[tuple[str, int]],
    lost: Sequence[RowFailure] = (),
) -> Leaderboard:
    """The rows of the stored cells of a run.

    Args:
        specs: of the cells.
        cell_of: reads a finished or failed cell by the key of its spec.
        wanted: what a complete row covers.
        lost: domains that could not be read; they are missing in every row.
    """
    groups: defaultdict[str, list[Spec]] = defaultdict(list)
    for spec in specs:
        groups[row_key(spec)].append(spec)
    stored = ([cell for spec in group if (cell := cell_of(spec.key)) is not None] for group in groups.values())
    chosen = sorted(set(wanted))
    rows = [row for cells in stored if cells for row in rows_of(cells, chosen, lost)]
    return Leaderboard(rows=tuple(sorted(rows, key=RowOrder)))
