"""The style of every figure, and how it is saved: the same figure gives the same bytes."""

from __future__ import annotations

import io
import textwrap
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from harness import files
from harness.errors import UserError
from harness.leaderboard.bootstrap import MEAN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from harness.plots.looks import SideLook

DASHES = ("-", "--", "-.", ":")
LEVELS = ((0, (1, 1)), (0, (1, 3)), (0, (4, 1, 1, 1)), (0, (1, 1, 1, 4)), (0, (4, 2, 1, 1, 1, 1)))
"""Dashes of the level lines of methods without few-shot images."""
INK, GREY, GRID = "#222222", "#666666", "#E3E3E3"

SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "harness",  # the ids inside an SVG are random otherwise
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and edited
    "pdf.fonttype": 42,  # TrueType, as publishers ask
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
}


class Size(NamedTuple):
    """A width that a paper has room for, in inches, and how many panels fit side by side."""

    width: float
    panels: int


Fit = Literal["column", "page"]

SIZES: dict[Fit, Size] = {"column": Size(3.25, 2), "page": Size(6.875, 5)}
"""One column and the full page of a two-column paper (CVPR)."""


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the house style, whatever the user's own matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for name, value in SETTINGS.items():
            matplotlib.rcParams[name] = value  # type: ignore[index, unused-ignore]
        yield


@contextmanager
def any_script() -> Iterator[None]:
    """No warning about letters that the font lacks: in an SVG they are text for the reader's own fonts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def places(domains: Sequence[str]) -> list[str]:
    """What is drawn: the average first, then every domain; of one domain only that."""
    return [MEAN, *domains] if len(domains) > 1 else list(domains)


def panels(count: int, size: Size, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of equal panels, each ``height`` inches high, that share their axes' limits."""
    columns = min(size.panels, count)
    rows = -(-count // columns)
    figure = _figure((size.width, height * rows))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    flat = list(grid.flat)
    for axes in flat[count:]:
        axes.remove()
    for axes in flat[max(0, count - columns) : count]:
        axes.tick_params(labelbottom=True)
    return figure, flat[:count]


def _figure(inches: tuple[float, float]) -> Figure:
    """A figure outside of pyplot that a notebook shows as a picture."""
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        def _repr_png_(self) -> bytes:
            return to_bytes(self, "png", 150)

    return NotebookFigure(figsize=inches, layout="constrained")


def column(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with panels of their own y axes above one another, over one x axis."""
    figure = _figure((width, height * count + 1.0))
    return figure, list(figure.subplots(count, 1, sharex=True))


def bars(panel: Axes, places: Sequence[float], heights: Sequence[float], own: SideLook) -> None:
    """The bars of a side, labelled for the legend."""
    paint: dict[str, Any] = {"color": own.colour, "hatch": own.hatch, "edgecolor": "white", "linewidth": 0}
    panel.bar(places, heights, 0.38, label=own.name, **paint)


def legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str], above: str | None = None) -> None:
    """A legend below the panels, in as many columns as fit; the figure grows by its height.

    Args:
        figure: with its panels.
        handles: what is explained.
        labels: what each is.
        above: text between panels and legend.
    """
    for columns in range(len(labels), 0, -1):
        made = figure.legend(
            handles, labels, title=above, title_fontsize=7, loc="outside lower center", ncols=columns,
            columnspacing=1.2, handlelength=2.2,
        )  # fmt: skip
        box = made.get_window_extent()
        if box.width <= figure.bbox.width or columns == 1:
            figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)
            return
        made.remove()


def wrapped(text: str, points: float, inches: float) -> str:
    """Text in lines that are not wider than a width, by measuring them: a canvas draws up to 4 % wider."""
    from matplotlib.textpath import TextPath

    letters = len(text)
    with any_script():
        while True:
            lines = textwrap.wrap(text, letters)
            widest = max(TextPath((0, 0), line, size=points).get_extents().width for line in lines) / 72
            if widest <= inches or letters <= 10:
                return "\n".join(lines)
            letters = max(10, min(letters - 1, int(letters * inches / widest)))


def title(figure: Figure, text: str | None) -> None:
    """A figure's title at its left edge, wrapped to its width; none if there is no text."""
    if text and text.strip():
        lines = wrapped(text, 8, 0.94 * figure.get_figwidth())
        figure.suptitle(lines, x=0.01, ha="left", fontsize=8)
        figure.set_figheight(figure.get_figheight() + 0.16 * (lines.count("\n") + 1))


METADATA: dict[str, dict[str, str | None]] = {
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}
"""By format: no date and no version of the library, which would differ tomorrow."""


def kind_of(out: Path) -> str:
    """The format of a figure, pdf, png or svg, by the ending of the file's name.

    Raises:
        UserError: another ending.
    """
    kind = out.suffix.lower().lstrip(".")
    if kind not in METADATA:
        raise UserError(f"{out.name} is neither PDF, PNG nor SVG", "let the file's name end in .pdf, .png or .svg")
    return kind


def to_bytes(figure: Figure, kind: str, dpi: int = 300) -> bytes:
    """A figure as PDF, PNG or SVG; its label is the title in the file's metadata."""
    content = io.BytesIO()
    with drawing(), any_script():
        metadata = {**METADATA[kind], "Title": figure.get_label()}
        figure.savefig(content, format=kind, dpi=dpi, metadata=metadata)
    return content.getvalue()


def save(figure: Figure, out: Path) -> None:
    """Write a figure as PDF, PNG or SVG, by the ending of the file's name.

    Raises:
        UserError: another ending.
        StorageError: the file cannot be written.
    """
    files.save(out, to_bytes(figure, kind_of(out)), "the figure", "choose another file with --out")
