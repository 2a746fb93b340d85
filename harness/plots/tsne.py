"""The features of a domain's test images in the plane: the paper's Figure 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.errors import DataError
from harness.plots import style
from harness.plots.looks import COLOURS, SIDE_LOOKS

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Array = np.ndarray[Any, np.dtype[Any]]

LETTERS = 0.7
"""Points of the names' letters, for each inch of the figure's width."""


def plot_tsne(
    features: Mapping[str, tuple[Array, Array]],
    names: Mapping[str, tuple[str, ...]],
    what: str,
    fit: style.Fit = "page",
    title: str | None = None,
) -> Figure:
    """Embed the features with t-SNE, always from the same start, then draw them.

    A colour is a class, and a class has its name at the median of its images; a disc is an image of a concept in
    pre-training, a triangle one of a concept out of it.

    Args:
        features: side -> unit rows ``(n, d)`` and the label ``(n,)`` of each.
        names: side -> the names that labels index.
        what: the figure shows, for the file's metadata.
        fit: the width.
        title: above the figure; None for none.
    """
    import numpy as np

    image = np.concatenate([rows for rows, _ in features.values()])
    side = np.concatenate([np.full(len(rows), name) for name, (rows, _) in features.items()])
    label = np.concatenate([labels for _, labels in features.values()])
    place = embed(image)
    with style.drawing():
        width = style.SIZES[fit].width
        figure, (axes,) = style.panels(1, style.SIZES[fit], 0.9 * width)
        axes.set_axis_off()
        for name in features:
            chosen = side == name
            own = SIDE_LOOKS[name]
            colour = [COLOURS[y % len(COLOURS)] for y in label[chosen]]
            counted = f"{own.name}: {int(chosen.sum()):,} images of {len(names[name])} concepts"
            paint: dict[str, Any] = {
                "marker": own.marker,
                "s": (width / 2) ** 2,
                "alpha": 0.45 if name == "ip" else 0.9,
            }
            axes.scatter(place[chosen, 0], place[chosen, 1], c=colour, linewidths=0, label=counted, **paint)
        _names(axes, place, side, label, names, LETTERS * width)
        style.title(figure, title)
        handles, labels = axes.get_legend_handles_labels()
        style.legend(figure, handles, labels)
        for handle in figure.legends[0].legend_handles:
            if handle is not None:
                handle.set(color=style.GREY, alpha=1.0)  # a colour is a class, not a side
        figure.set_label(what)
    return figure


def embed(image: Array) -> Array:
    """Places ``(n, 2)`` of unit rows ``(n, d)``.

    Raises:
        DataError: there are too few images to have neighbours.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    n = len(image)
    if n < 5:
        raise DataError(f"{n} readable test images are too few for t-SNE", "choose a domain with more images")
    perplexity = min(30.0, (n - 1) / 4)
    with threadpool_limits(1):  # threads add up in no fixed order, and the picture would be another each time
        model = TSNE(perplexity=perplexity, init="pca", metric="cosine", random_state=0)
        found: Array = model.fit_transform(image)
    return found


def _names(
    axes: Axes, place: Array, side: Array, label: Array, names: Mapping[str, tuple[str, ...]], points: float
) -> None:
    """Every class's name at the median of its images, moved down where another name already is."""
    import numpy as np

    paper = {"facecolor": "white", "alpha": 0.65, "linewidth": 0, "pad": 0.6}
    span = np.ptp(place, axis=0)
    line, letter = span[1] / 75, span[0] / 145  # a name's height and a letter's width, in units of the plane
    centres = [
        (*np.median(place[(side == name) & (label == y)], axis=0), names[name][int(y)], name)
        for name in names
        for y in np.unique(label[side == name])
    ]
    taken: list[tuple[float, float, float]] = []
    for x, y, text, name in sorted(centres, key=lambda c: (-c[1], c[0])):
        wide = letter * len(text) / 2
        height = float(y)
        while any(abs(x - other) < wide + reach and abs(height - level) < line for other, level, reach in taken):
            height -= line / 4
        taken.append((float(x), height, wide))
        weight = "bold" if name == "oop" else "normal"
        axes.text(float(x), height, text, fontsize=points, fontweight=weight, ha="center", va="center", bbox=paper)
    reach = np.array([end for x, _, wide in taken for end in (x - wide, x + wide)])
    axes.set_xlim(min(place[:, 0].min(), reach.min()), max(place[:, 0].max(), reach.max()))  # no name is cut off
    lowest = min(height for _, height, _ in taken)
    axes.set_ylim(min(place[:, 1].min(), lowest) - line, place[:, 1].max() + line)
