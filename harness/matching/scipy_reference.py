"""Matching with numpy and scipy: the backend without a compiler, and the reference that csrc/ is tested against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.matching.quantise import UNIT, quantised_similarity
from harness.matching.result import Solved


def match(prototypes: NDArray[np.float32], names: NDArray[np.float32]) -> Solved:
    """Match prototypes (b, n, d) with names (b, m, d), one problem after the other."""
    solved = Solved.empty(len(prototypes), prototypes.shape[1])
    for k, (p, t) in enumerate(zip(prototypes, names, strict=True)):
        if np.isfinite(p).all() and np.isfinite(t).all():
            solved.columns[k], solved.similarity[k], solved.gap[k] = _solve(quantised_similarity(p, t))
        else:
            solved.similarity[k] = solved.gap[k] = np.nan
            solved.valid[k] = False
    return solved


def assign(similarity: NDArray[np.int32]) -> Solved:
    """Assignments for similarities (b, n, m) in units of 2^-28."""
    solved = Solved.empty(len(similarity), similarity.shape[1])
    for k, one in enumerate(similarity):
        solved.columns[k], solved.similarity[k], solved.gap[k] = _solve(one)
    return solved


def _solve(similarity: NDArray[np.int32]) -> tuple[NDArray[np.int64], float, float]:
    from scipy.optimize import linear_sum_assignment  # slow to import, and rarely needed

    n, m = similarity.shape
    columns = np.full(n, -1, dtype=np.int64)
    if min(n, m) == 0:
        return columns, 0.0, 0.0
    wide = similarity.astype(np.int64)
    wide = wide.T if n > m else wide
    rows = np.arange(len(wide))
    _, column_of = linear_sum_assignment(wide, maximize=True)  # sums of int32 are exact in its float64
    price = _prices(wide, column_of)
    loss = price - wide
    profit = -loss.min(axis=1)
    total = wide[rows, column_of].sum()
    gap = profit.sum() + price.sum() - total
    if gap == 0:
        releasable = (price == 0) & (wide.shape[0] < wide.shape[1])
        column_of = _lowest(loss == -profit[:, None], releasable, column_of)
    if n > m:
        columns[column_of] = rows
    else:
        columns[:] = column_of
    return columns, float(total) / UNIT, float(gap) / UNIT


def _prices(similarity: NDArray[np.int64], column_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Optimal prices of the columns for an optimal assignment: the least with which no row prefers another column.

    Bellman and Ford's longest paths in the graph of exchanges; no cycle gains there, the assignment being optimal.
    """
    n, m = similarity.shape
    rows = np.arange(n)
    lead = similarity - similarity[rows, column_of][:, None]
    price = np.zeros(m, dtype=np.int64)
    changed = rows
    for _ in range(n + 1):
        offer = (lead[changed] + price[column_of[changed]][:, None]).max(axis=0, initial=0)
        raised = offer > price
        if not raised.any():
            break
        price = np.maximum(price, offer)
        changed = rows[raised[column_of]]
    return price


def _lowest(tight: NDArray[np.bool_], releasable: NDArray[np.bool_], column_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lexicographically smallest matching of tight pairs (n, m) that leaves only releasable columns (m) free.

    Node r is row r, node n owns all free columns. Each row in turn moves to the lowest column from which exchanges
    among later rows lead back to the column it leaves. csrc/cpu/ties.cpp does the same on bits.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, m = tight.shape
    takes = np.vstack([tight, releasable])
    column_of = column_of.copy()
    owner = np.full(m, n)
    owner[column_of] = np.arange(n)
    node, other = np.nonzero(takes)
    graph = coo_array((np.ones(len(node), dtype=np.int8), (node, owner[other])), shape=(n + 1, n + 1))
    _, component = connected_components(graph, directed=True, connection="strong")
    on_cycle = np.bincount(component)[component] > 1  # elsewhere no other optimum exists
    for row in np.flatnonzero(on_cycle[:n]).tolist():
        unseen = owner > row
        for column in np.flatnonzero(takes[row, : column_of[row]]).tolist():
            if unseen[column] and (path := _path(takes, owner, unseen, column, int(column_of[row]))):
                moves = [(row, column), *path]
                for taker, taken in moves:
                    owner[taken] = taker
                    if taker < n:
                        column_of[taker] = taken
                break
    return column_of


def _path(
    takes: NDArray[np.bool_], owner: NDArray[np.int64], unseen: NDArray[np.bool_], start: int, end: int
) -> list[tuple[int, int]]:
    """Moves (node, column it takes) from the owner of `start`, who loses it, to one who takes `end`; [] if none."""
    before = {start: -1}
    todo = [start]
    unseen[start] = False
    while todo:
        column = todo.pop()
        node = int(owner[column])
        if takes[node, end]:
            moves, taken = [], end
            while column != -1:
                moves.append((int(owner[column]), taken))
                column, taken = before[column], column
            return moves
        fresh = np.flatnonzero(takes[node] & unseen)
        unseen[fresh] = False
        before.update(dict.fromkeys(fresh.tolist(), column))
        todo += fresh.tolist()
    return []
