"""Print tables: as text within the width of the terminal, as Markdown or as LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from harness.cli import console
from harness.errors import UserError
from harness.leaderboard.tables import Table

Form = Literal["text", "json", "csv", "markdown", "latex"]


def form(chosen: Mapping[Form, object]) -> Form:
    """The output form whose option is given, or text.

    Raises:
        UserError: several are given.
    """
    wanted = [name for name, given in chosen.items() if given]
    if len(wanted) > 1:
        *others, last = (f"--{name}" for name in chosen)
        raise UserError(f"{', '.join(others)} and {last} exclude each other", "give one of them")
    return wanted[0] if wanted else "text"


def print_tables(tables: Sequence[Table], wanted: Form) -> None:
    """Print tables as text, Markdown or LaTeX."""
    for table in tables:
        if wanted == "text":
            console.out().print(console.table(table.title, table.columns, table.rows, table.left, table.best))
            for note in table.notes:
                console.out().print(note, style="dim", markup=False, soft_wrap=True)
        else:
            console.lines(table.markdown() if wanted == "markdown" else table.latex())


def print_in_parts(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print a table as text; where it is too wide, as several with its ``left`` text columns in each."""
    widths = [3 + max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    parts = even_parts(1 + sum(widths[:left]), widths[left:], console.out().width) or [slice(0)]
    for number, part in enumerate(parts):
        chosen = [[*line[:left], *line[left:][part]] for line in (columns, *rows)]
        console.out().print(console.table("" if number else title, chosen[0], chosen[1:], left))


def even_parts(first: int, own: Sequence[int], width: int) -> list[slice]:
    """Split columns of widths ``own`` into as few even groups as fit; ``first`` is the width repeated in each."""
    size, starts = 1, range(len(own))
    for parts in range(1, len(own) + 1):
        size = -(-len(own) // parts)
        starts = range(0, len(own), size)
        if all(first + sum(own[start : start + size]) <= width for start in starts):
            break
    return [slice(start, start + size) for start in starts]
