"""Bring the leaderboard of a results folder up to date: read new cells, assemble changed rows, copy the others."""

from __future__ import annotations

import json
import time
from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from harness.file_stamp import Stamp
from harness.leaderboard.assemble import Coverage, Pairs, RowOrder, row_key, rows_of, setting_key
from harness.leaderboard.index import INDEX, NEVER, Group, Index, IndexedCell, IndexedRow, sha256
from harness.leaderboard.pretraining import PretrainingFinder
from harness.results import costs
from harness.results.leaderboard_file import BOARD, join_rows, row_text
from harness.results.store import FAILED, ResultStore, cell_key
from harness.types.cell import Cell, Spec
from harness.types.leaderboard import Row

SETTLED_NS = 2 * 10**9
"""A file that changed within this time may change again with the same time stamp, so it is read again next time."""

IN_MEMORY = 4096
"""New cells of other runs that stay in memory until their row is made; others are read a second time then."""


def update_leaderboard(store: ResultStore, planned: Collection[Spec] = ()) -> None:
    """Write the leaderboard and the costs of all cells in the folder; again, if another run added cells meanwhile.

    A failed cell is in its row, unless the whole row failed and is not of this run: then its plugin was repaired since,
    and has another row.

    Args:
        store: of the cells.
        planned: specs of this run. One that was not run, because the run was stopped, is missing in its row.

    Raises:
        StorageError: the folder cannot be read or written, or the disk is full.
    """
    store.flush()
    before = None
    while before != (now := store.stamps()):
        before = now
        _Update(store, now, planned).write()


@dataclass
class _PlacedRow:
    """A row of the new leaderboard: its group, its text in the file, its id and its cost."""

    group: Group
    text: bytes
    id: str
    cost: costs.RowCost | None

    @cached_property
    def order(self) -> RowOrder:
        """Its place among other rows."""
        return RowOrder(Row.model_validate_json(self.text))


class _Update:
    """One update.

    Args:
        store: of the cells.
        files: the state of their files.
        planned: specs of this run.
    """

    def __init__(self, store: ResultStore, files: Mapping[str, Stamp], planned: Collection[Spec]) -> None:
        self._store, self._files, self._planned = store, files, planned
        self._settled = time.time_ns() - SETTLED_NS
        self._read: dict[str, Cell] = {}
        self._unread: defaultdict[str, list[str]] = defaultdict(list)  # of this run: read when their row is made
        self._facts = PretrainingFinder.of_folder(store.root)
        index = Index.read(store.root)
        self._board, self._groups = index.board, index.groups
        unread = set(files)
        for group in self._groups.values():
            group.cells = {file: cell for file, cell in group.cells.items() if files.get(file) == cell.stamp}
            unread -= group.cells.keys()
        mine = {spec.key: self._group_of(spec) for spec in planned}
        self._mine = {*mine.values()}
        for file in unread:
            if (key := mine.get(cell_key(file))) is not None:
                self._unread[key].append(file)
            elif (cell := self._add(file)) is not None and len(self._read) < IN_MEMORY:
                self._read[file] = cell
        self._groups = {key: group for key, group in self._groups.items() if group.cells or key in self._unread}

    def _group_of(self, spec: Spec) -> str:
        """The key of a cell's group, which is made if there is none."""
        key = _digest(row_key(spec))
        if key not in self._groups:
            self._groups[key] = Group(_digest(setting_key(spec)), spec.seedless)
        return key

    def _add(self, file: str) -> Cell | None:
        """Read a cell and note it in its group; None for a damaged one, which is in none."""
        stored, stamp = self._store.read(file), self._files[file]
        if stored is None:
            return None
        spec = stored.cell.spec
        settled = max(stamp.mtime_ns, stamp.ctime_ns) < self._settled
        cell = IndexedCell(stamp if settled else NEVER, stored.sha256, spec.domain, spec.seed)
        self._groups[self._group_of(spec)].cells[file] = cell
        return stored.cell

    def write(self) -> None:
        """Write the leaderboard, the costs and the index."""
        rows = self._rows()
        board, starts = join_rows([row.text for row in rows])
        for row, start in zip(rows, starts, strict=True):
            row.group.rows.append(IndexedRow(start, start + len(row.text), row.id, row.cost))
        known = {row.id: row.cost for row in rows if row.cost is not None}
        self._store.replace(BOARD, board)
        self._store.replace(costs.FILE, costs.Costs(rows=dict(sorted(known.items()))).content())
        self._store.replace(INDEX, Index(board, self._groups).content())

    def _rows(self) -> list[_PlacedRow]:
        """All rows in order: those that changed are assembled, the others copied."""
        kept, made = list[tuple[int, _PlacedRow]](), list[_PlacedRow]()
        shown = {key: group for key, group in self._groups.items() if key in self._mine or _has_finished(group)}
        pairs = self._pairs(shown.values())
        sources = self._facts.sources
        signed = {setting: _digest(json.dumps([found, sources])) for setting, found in pairs.items()}
        was_made_of = [(key, group, group.made_of, group.rows) for key, group in shown.items()]
        for group in self._groups.values():
            group.made_of, group.rows = "", []
        for key, group, made_of, rows in was_made_of:
            new = [(file, self._add(file)) for file in self._unread.pop(key, ())]
            self._read |= {file: cell for file, cell in new if cell is not None}
            group.made_of = group.signature(signed[group.setting])
            if group.made_of == made_of:
                kept += [(r.start, _PlacedRow(group, self._board[r.start : r.end], r.id, r.cost)) for r in rows]
            else:
                made += self._assembled(group, pairs[group.setting])
                group.made_of = group.signature(signed[group.setting])  # of what was read now
        self._groups = {key: group for key, group in self._groups.items() if group.cells}
        ordered = [row for _, row in sorted(kept, key=lambda one: one[0])]
        for row in made:
            insort(ordered, row, key=lambda one: one.order)
        return ordered

    def _pairs(self, shown: Iterable[Group]) -> dict[str, Pairs]:
        """Setting -> what its complete rows cover."""
        covered: defaultdict[str, Coverage] = defaultdict(Coverage)
        for spec in self._planned:
            covered[_digest(setting_key(spec))].add(spec.domain, spec.seed, spec.seedless)
        for group in shown:
            for cell in group.cells.values():
                covered[group.setting].add(cell.domain, cell.seed, group.seedless)
        return {setting: coverage.pairs() for setting, coverage in covered.items()}

    def _assembled(self, group: Group, pairs: Pairs) -> Iterator[_PlacedRow]:
        """The rows of a group, whose cells are read unless they are in memory."""
        cells = dict[str, Cell]()
        for file in list(group.cells):
            cell = self._read.pop(file, None)
            if cell is None:
                del group.cells[file]
                cell = self._add(file)
            if cell is not None:
                cells[file] = cell
        finished = {cell.spec.key: cell for file, cell in cells.items() if not file.endswith(FAILED)}
        for row in map(self._facts.added_to, rows_of(cells.values(), pairs) if cells else ()):
            placed = _PlacedRow(group, row_text(row), row.id, costs.cost_of(row, finished.get))
            placed.order = RowOrder(row)
            yield placed


def _has_finished(group: Group) -> bool:
    return not all(file.endswith(FAILED) for file in group.cells)


def _digest(text: str) -> str:
    return sha256(text.encode())
