"""Tables that are split to fit a width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.leaderboard.tables import Table


@given(
    groups=st.integers(1, 6), together=st.integers(1, 3), keep=st.integers(1, 2), width=st.integers(1, 60),
    cells=st.lists(st.text("ab", max_size=9), min_size=40, max_size=40),
)  # fmt: skip
def test_parts_have_every_column_once_and_fit_or_are_as_narrow_as_possible(
    groups: int, together: int, keep: int, width: int, cells: list[str]
) -> None:
    n = keep + groups * together
    table = Table("title", [f"c{i}" for i in range(n)], [cells[:n], cells[-n:]], keep, ["note"], {(1, n - 1)})
    parts = table.parts(width, keep, together)
    assert [name for part in parts for name in part.columns[keep:]] == table.columns[keep:]
    assert all(part.columns[:keep] == table.columns[:keep] for part in parts)
    assert [part.title for part in parts] == ["title", *[""] * (len(parts) - 1)]
    assert [list(part.notes) for part in parts] == [*[[]] * (len(parts) - 1), ["note"]]
    assert [(row, part.columns[column]) for part in parts for row, column in part.best] == [(1, table.columns[-1])]
    assert all(part.width <= width or len(part.columns) == keep + together for part in parts)
