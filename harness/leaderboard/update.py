"""Bring the leaderboard of a results folder up to date: read new cells, assemble changed rows, copy the others."""

from __future__ import annotations

import json
import time
from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harness.file_stamp import Stamp
from harness.leaderboard.assemble import Coverage, Pairs, RowOrder, row_key, rows_of, setting_key
from harness.leaderboard.index import INDEX, NEVER, Index, IndexedCell, IndexedGroup, IndexedRow, sha256
from harness.results import costs
from harness.results.leaderboard_file import BOARD, join_rows, row_text
from harness.results.store import FAILED, ResultStore
from harness.types.cell import Cell, Spec
from harness.types.leaderboard import Row

SETTLED_NS = 2 * 10**9
"""A file that changed within this time may change again with the same time stamp, so it is read again next time."""


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
    before = None
    while before != (now := store.stamps()):
        before = now
        _Update(store, now, planned).write()


@dataclass
class _Group:
    """The cells with one ``row_key``, by the names of their files, and what the index knows of their rows."""

    setting: str
    seedless: bool
    cells: dict[str, IndexedCell] = field(default_factory=dict)
    made_of: str = ""
    rows: tuple[IndexedRow, ...] = ()

    def signature(self, pairs: str) -> str:
        """Digest of everything that decides the rows: the cells, and what a complete row covers."""
        return sha256(json.dumps([pairs, sorted((cell.file, cell.sha256) for cell in self.cells.values())]).encode())


@dataclass
class _PlacedRow:
    """A row of the new leaderboard: its group, its text in the file, its id and its cost."""

    group: str
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
        self._index = Index.read(store.root)
        self._read: dict[str, Cell] = {}
        self._groups: dict[str, _Group] = {}
        for old in self._index.groups:
            cells = {cell.file: cell for cell in old.cells if files.get(cell.file) == cell.stamp}
            self._groups[old.key] = _Group(old.setting, old.seedless, cells, old.made_of, old.rows)
        known = {file for group in self._groups.values() for file in group.cells}
        for file in files.keys() - known:
            self._add(file)

    def _add(self, file: str) -> None:
        """Read a cell into its group; a damaged one is in none."""
        stored, stamp = self._store.read(file), self._files[file]
        if stored is None:
            return
        spec = stored.cell.spec
        key, setting = (_digest(text) for text in (row_key(spec), setting_key(spec)))
        settled = max(stamp.mtime_ns, stamp.ctime_ns) < self._settled
        cell = IndexedCell(file, stamp if settled else NEVER, stored.sha256, spec.domain, spec.seed)
        self._groups.setdefault(key, _Group(setting, spec.seedless)).cells[file] = cell
        self._read[file] = stored.cell

    def write(self) -> None:
        """Write the leaderboard, the costs and the index."""
        rows = self._rows()
        board, starts = join_rows([row.text for row in rows])
        self._store.replace(BOARD, board)
        known = {row.id: row.cost for row in rows if row.cost is not None}
        self._store.replace(costs.FILE, costs.Costs(rows=dict(sorted(known.items()))).content())
        for row, start in zip(rows, starts, strict=True):
            group = self._groups[row.group]
            group.rows += (IndexedRow(start, start + len(row.text), row.id, row.cost),)
        self._store.replace(
            INDEX, Index(board, [_indexed(*item) for item in self._groups.items() if item[1].cells]).content()
        )

    def _rows(self) -> list[_PlacedRow]:
        """All rows in order: those that changed are assembled, the others copied."""
        mine = {_digest(row_key(spec)) for spec in self._planned}
        covered: defaultdict[str, Coverage] = defaultdict(Coverage)
        for spec in self._planned:
            covered[_digest(setting_key(spec))].add(spec.domain, spec.seed, spec.seedless)
        shown = {key: group for key, group in self._groups.items() if _is_shown(group, key in mine)}
        for group in shown.values():
            for cell in group.cells.values():
                covered[group.setting].add(cell.domain, cell.seed, group.seedless)
        pairs = {setting: coverage.pairs() for setting, coverage in covered.items()}
        signed = {setting: _digest(json.dumps(found)) for setting, found in pairs.items()}
        kept, made = list[tuple[int, _PlacedRow]](), list[_PlacedRow]()
        for key, group in list(self._groups.items()):
            old, group.rows = group.rows, ()
            if key not in shown:
                group.made_of = ""
            elif group.made_of == group.signature(signed[group.setting]):
                board = self._index.board
                kept += [(r.start, _PlacedRow(key, board[r.start : r.end], r.id, r.cost)) for r in old]
            else:
                made += self._assembled(key, group, pairs[group.setting])
                group.made_of = group.signature(signed[group.setting])
        rows = [row for _, row in sorted(kept, key=lambda one: one[0])]
        for row in made:
            insort(rows, row, key=lambda one: one.order)
        return rows

    def _assembled(self, key: str, group: _Group, pairs: Pairs) -> Iterator[_PlacedRow]:
        for file in group.cells.keys() - self._read.keys():
            del group.cells[file]
            self._add(file)
        cells = [self._read[file] for file in group.cells]
        finished = {self._read[file].spec.key: self._read[file] for file in group.cells if not file.endswith(FAILED)}
        for row in rows_of(cells, pairs) if cells else ():
            cost = costs.cost_of(row, finished.get)
            placed = _PlacedRow(key, row_text(row), row.id, cost)
            placed.order = RowOrder(row)
            yield placed


def _is_shown(group: _Group, planned: bool) -> bool:
    return bool(group.cells) and (planned or not all(file.endswith(FAILED) for file in group.cells))


def _indexed(key: str, group: _Group) -> IndexedGroup:
    return IndexedGroup(
        key=key,
        setting=group.setting,
        seedless=group.seedless,
        cells=tuple(group.cells.values()),
        made_of=group.made_of,
        rows=group.rows,
    )


def _digest(text: str) -> str:
    return sha256(text.encode())
