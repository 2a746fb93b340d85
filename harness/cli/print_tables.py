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
                console.note(note)
        else:
            console.lines(table.markdown() if wanted == "markdown" else table.latex())


def print_in_parts(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, notes: Sequence[str] = ()
) -> None:
    """Print a table as text; where it is too wide, as several with its ``left`` text columns in each."""
    print_tables(Table(title, columns, rows, left, notes=notes).parts(console.out().width, left), "text")
