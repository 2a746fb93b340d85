"""The style of every figure, and how it is saved: the same figure gives the same bytes."""

from __future__ import annotations

import io
import textwrap
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import files
from harness.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8A8A8A")
"""Okabe and Ito's palette, distinct with every form of colour blindness, then black and grey."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")
LEVELS = ((0, (1, 1)), (0, (1, 3)), (0, (4, 1, 1, 1)), (0, (1, 1, 1, 4)), (0, (4, 2, 1, 1, 1, 1)))
"""Dashes of level lines, which have no markers."""
INK, GREY, GRID = "#222222", "#666666", "#E3E3E3"

SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "harness",  # the ids inside an SVG are random otherwise
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and edited
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
}


def look(index: int) -> dict[str, Any]:
    """Colour, marker and dash of the n-th line.

    Eight lines differ in colour and in marker each, 64 in both together.
    """
    again = index // len(COLOURS)
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[(index + again) % len(MARKERS)],
        "linestyle": DASHES[again % len(DASHES)] if again else DASHES[index % 2],
    }


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the house style, whatever the user's own matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for name, value in SETTINGS.items():
            matplotlib.rcParams[name] = value  # type: ignore[index, unused-ignore]
        yield


def panels(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of equal panels that share their axes' limits."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows + 1.0), layout="constrained")
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


LETTER = 0.56
"""Mean width of a letter, in units of its size."""


def wrapped(figure: Figure, text: str, points: float) -> str:
    """Text wrapped to the width of the figure."""
    return textwrap.fill(text, max(20, int(72 * figure.get_figwidth() / (LETTER * points))))


def legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str], most: int) -> None:
    """A legend below the panels, in as many columns as fit, at most ``most``."""
    entry = LETTER * 9 * max(map(len, labels), default=1) + 45  # 9 points a letter, and the handle before them
    columns = max(1, min(most, int(72 * figure.get_figwidth() / entry), len(labels)))
    lines = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + 0.2 * max(0, lines - 2))  # not at the cost of the panels
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def title(figure: Figure, text: str) -> None:
    """A figure's title, at its left edge."""
    figure.suptitle(wrapped(figure, text, 11), x=0.02, ha="left", fontsize=11)


def kind_of(out: Path) -> str:
    """The format of a figure, png or svg, by the ending of the file's name.

    Raises:
        UserError: another ending.
    """
    kind = out.suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise UserError(f"{out.name} is neither PNG nor SVG", "let the file's name end in .png or .svg")
    return kind


def save(figure: Figure, out: Path, title: str) -> None:
    """Write a figure as PNG or SVG, by the ending of the file's name.

    Raises:
        UserError: another ending.
        StorageError: the file cannot be written.
    """
    kind = kind_of(out)
    # No date and no version of the library: they would differ tomorrow.
    metadata = {"Date": None, "Creator": None, "Title": title} if kind == "svg" else {"Software": None, "Title": title}
    content = io.BytesIO()
    with warnings.catch_warnings():
        # Names come in every script. In an SVG they are text for the reader's own fonts; a PNG shows boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(content, format=kind, dpi=160, metadata=metadata)
    files.save(out, content.getvalue(), "the figure", "choose another file with --out")
