"""Tables as plain text in cells, written as Markdown or LaTeX, or drawn by the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import chain

Place = tuple[int, int]
"""Row and column of a cell."""

_LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "−": "$-$",
    "Δ": r"$\Delta$",
    "✓": r"$\surd$",
    "|": "$|$",
    "<": "$<$",
    ">": "$>$",
}


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction in percent; what rounds to zero has no sign."""
    return f"{round(100 * fraction, digits) + 0.0:.{digits}f}"


def signed(difference: float, digits: int = 1) -> str:
    """A difference of fractions in percent, signed, with enough digits to show that it is not zero."""
    shown = 100 * difference
    while difference and not round(shown, digits):
        digits += 1
    return f"{shown:+.{digits}f}" if difference else percent(difference, digits)


def share(n: int, of: int) -> str:
    """A suffix for a mean over fewer domains than its table has; empty for the others."""
    return "" if n == of else f" ({n} of {of} domains)"


def best_places(columns: Sequence[Sequence[float | None]], higher: Sequence[bool]) -> tuple[set[Place], set[Place]]:
    """The places of the best and of the second-best value of each column; equal ones share theirs.

    A column whose values are all equal has none.

    Args:
        columns: the fractions of each column, from top to bottom; None where there is none.
        higher: for each column, whether a higher value is better.
    """
    found: tuple[set[Place], set[Place]] = (set(), set())
    for at, (values, up) in enumerate(zip(columns, higher, strict=True)):
        shown = [None if value is None else percent(value) for value in values]  # what is equal on paper is equal
        ordered = sorted({text for text in shown if text is not None}, key=float, reverse=up)
        for places, text in zip(found, ordered if len(ordered) > 1 else (), strict=False):
            places |= {(row, at) for row, other in enumerate(shown) if other == text}
    return found


COLUMN = 50
"""Characters of a table, rules counted, that fit a column of a paper."""

_MINUS = re.compile(r"(?<!\w)-(?=\d)")


@dataclass(frozen=True)
class Table:
    """Plain text in rows and columns.

    Attributes:
        title: what all rows share.
        columns: the headings.
        rows: as many texts each as there are columns.
        left: how many columns are text; the others are numbers.
        notes: sentences below the table.
        best: the cells that are emphasised: bold.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    notes: Sequence[str] = ()
    best: Collection[Place] = ()

    @property
    def width(self) -> int:
        """Its width in characters."""
        widths = [max(len(cell) for cell in column) for column in zip(self.columns, *self.rows, strict=True)]
        return sum(widths) + 3 * len(widths) + 1

    def parts(self, width: int, keep: int = 1, together: int = 1) -> list[Table]:
        """As few even tables as fit into a width; the title is above the first, the notes below the last.

        Args:
            width: in characters.
            keep: how many first columns stand in every part.
            together: how many of the other columns are not separated.
        """
        groups = [range(i, i + together) for i in range(keep, len(self.columns), together)]
        first = self._of_columns(range(keep)).width
        own = [self._of_columns([*range(keep), *group]).width - first for group in groups]
        slices = _even_parts(first, own, width)
        parts = [self._of_columns([*range(keep), *chain(*groups[part])]) for part in slices] or [self]
        parts[1:] = [replace(part, title="") for part in parts[1:]]
        parts[:-1] = [replace(part, notes=()) for part in parts[:-1]]
        return parts

    def _of_columns(self, chosen: Sequence[int]) -> Table:
        """The table of some columns."""
        columns, *rows = [[line[i] for i in chosen] for line in (self.columns, *self.rows)]
        best = {(row, chosen.index(column)) for row, column in self.best if column in chosen}
        return replace(self, columns=columns, rows=rows, best=best)

    def text(self) -> str:
        """Plain text with aligned columns."""
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = [
            "  ".join(
                cell.ljust(width) if i < self.left else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*([self.title] if self.title else []), *aligned, *self.notes])

    def html(self) -> str:
        """An HTML table; all text is escaped."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.columns)
        lines = self._lines(lambda cell, _: escape(cell), "<strong>{}</strong>")
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        caption = f"<caption>{escape(self.title)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"

    def markdown(self) -> str:
        """GitHub's pipe tables."""
        marks = [":--" if i < self.left else "--:" for i in range(len(self.columns))]
        lines = [f"**{_md(self.title)}**", ""] if self.title else []
        lines += [f"| {' | '.join(line)} |" for line in (map(_md, self.columns), marks, *self._lines(_md, "**{}**"))]
        lines += ["", *(f"- {_md(note)}" for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """A ``table`` with booktabs rules for a paper; a wide one is a ``table*`` in small letters."""
        wide = self.width > COLUMN
        name = "table*" if wide else "table"
        small = [r"\scriptsize", r"\setlength{\tabcolsep}{1.75pt}"] if wide else []
        form = "l" * self.left + "r" * (len(self.columns) - self.left)
        body = [" & ".join(_row(line)) + r" \\" for line in self._lines(self._latex, r"\textbf{{{}}}")]
        lines = [rf"\begin{{{name}}}", r"\centering", *small, rf"\begin{{tabular}}{{{form}}}", r"\toprule"]
        lines += [" & ".join(map(tex, self.columns)) + r" \\", r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
        caption = "; ".join(tex(text.rstrip(".")) for text in (self.title, *self.notes) if text)
        return "\n".join([*lines, rf"\caption{{{caption}.}}", rf"\end{{{name}}}"]) + "\n"

    def _lines(self, text: Callable[[str, int], str], bold: str) -> list[list[str]]:
        """The rows, each cell as ``text`` writes it, and the best ones within ``bold``."""
        return [
            [bold.format(text(cell, i)) if (number, i) in self.best else text(cell, i) for i, cell in enumerate(row)]
            for number, row in enumerate(self.rows)
        ]

    def _latex(self, cell: str, column: int) -> str:
        """A cell for LaTeX; a dash before a number is a minus, and one alone means no value."""
        if column < self.left:
            return tex(cell)
        return _MINUS.sub("$-$", tex(cell)) if cell != "-" else "--"


def _even_parts(first: int, own: Sequence[int], width: int) -> list[slice]:
    """Split columns of widths ``own`` into as few even groups as fit; ``first`` is the width repeated in each."""
    size, starts = 1, range(len(own))
    for parts in range(1, len(own) + 1):
        size = -(-len(own) // parts)
        starts = range(0, len(own), size)
        if all(first + sum(own[start : start + size]) <= width for start in starts):
            break
    return [slice(start, start + size) for start in starts]


def _row(cells: Sequence[str]) -> list[str]:
    """The cells of a row: after the end of the row before, a bracket or a star would be an option of that end."""
    first, *rest = cells
    return [f"{{{first}}}" if first.startswith(("[", "*")) else first, *rest]


def _md(text: str, column: int = 0) -> str:
    # What comes from a plugin or a file name is text: no tags, links, columns or emphasis.
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(text.split()))


def tex(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_LATEX.get(c, c) for c in " ".join(text.split()))
