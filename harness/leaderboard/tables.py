"""Tables as plain text in cells, written as Markdown or LaTeX, or drawn by the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

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
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    notes: Sequence[str] = ()

    @property
    def width(self) -> int:
        """Its width in characters."""
        widths = [max(len(cell) for cell in column) for column in zip(self.columns, *self.rows, strict=True)]
        return sum(widths) + 3 * len(widths) + 1

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
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        caption = f"<caption>{escape(self.title)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"

    def markdown(self) -> str:
        """GitHub's pipe tables."""
        marks = [":--" if i < self.left else "--:" for i in range(len(self.columns))]
        lines = [f"**{_md(self.title)}**", ""] if self.title else []
        lines += [f"| {' | '.join(map(_md, line))} |" for line in (self.columns, marks, *self.rows)]
        lines += ["", *(f"- {_md(note)}" for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """A ``table`` with booktabs rules, ready to be put into a paper."""
        form = "l" * self.left + "r" * (len(self.columns) - self.left)
        body = [" & ".join(self._cells(line)) + r" \\" for line in self.rows]
        lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{form}}}", r"\toprule"]
        lines += [" & ".join(map(_tex, self.columns)) + r" \\", r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
        caption = "; ".join(_tex(text.rstrip(".")) for text in (self.title, *self.notes) if text)
        return "\n".join([*lines, rf"\caption{{{caption}.}}", r"\end{table}"]) + "\n"

    def _cells(self, line: Sequence[str]) -> list[str]:
        """A row's cells for LaTeX; a dash before a number is a minus, and one alone means no value."""
        texts = [_tex(text) for text in line[: self.left]]
        numbers = [_MINUS.sub("$-$", _tex(text)) if text != "-" else "--" for text in line[self.left :]]
        # After the end of the row before, a bracket or a star would be an option of that end.
        first, *rest = [*texts, *numbers]
        return [f"{{{first}}}" if first.startswith(("[", "*")) else first, *rest]


def _md(text: str) -> str:
    if re.fullmatch(r":--|--:", text):
        return text
    # What comes from a plugin or a file name is text: no tags, links, columns or emphasis.
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(text.split()))


def _tex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in " ".join(text.split()))
