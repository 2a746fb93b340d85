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


def panels(count: int, size: Size, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of equal panels, each ``height`` inches high, that share their axes' limits."""
    from matplotlib.figure import Figure

    columns = min(size.panels, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(size.width, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    flat = list(grid.flat)
    for axes in flat[count:]:
        axes.remove()
    for axes in flat[max(0, count - columns) : count]:
        axes.tick_params(labelbottom=True)
    return figure, flat[:count]


def column(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with panels of their own y axes above one another, over one x axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height * count + 1.0), layout="constrained")
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


def wrapped(figure: Figure, text: str, points: float) -> str:
    """Text wrapped to the width of the figure; a letter is 0.56 of its height wide, in the mean."""
    return textwrap.fill(text, max(20, int(72 * figure.get_figwidth() / (0.56 * points))))


def title(figure: Figure, text: str | None) -> None:
    """A figure's title at its left edge, wrapped to its width; none if there is no text."""
    if text:
        lines = wrapped(figure, text, 8)
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


def save(figure: Figure, out: Path, title: str) -> None:
    """Write a figure as PDF, PNG or SVG, by the ending of the file's name.

    Raises:
        UserError: another ending.
        StorageError: the file cannot be written.
    """
    kind = kind_of(out)
    content = io.BytesIO()
    with warnings.catch_warnings():
        # Names come in every script. In an SVG they are text for the reader's own fonts; a PNG shows boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(content, format=kind, dpi=300, metadata={**METADATA[kind], "Title": title})
    files.save(out, content.getvalue(), "the figure", "choose another file with --out")
