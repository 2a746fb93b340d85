"""The features of a domain's test images in the plane: the paper's Figure 3."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError
from harness.plots import style

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

    Array = np.ndarray[Any, np.dtype[Any]]

SIDES = {"ip": ("in pre-training (IP)", "o"), "oop": ("out of pre-training (OOP)", "^")}


def plot_tsne(
    features: Mapping[str, tuple[Array, Array]], names: Mapping[str, tuple[str, ...]], title: str, out: Path
) -> None:
    """Embed the features with t-SNE, always from the same start, then draw and write the figure.

    A colour is a class, and a class has its name at the median of its images; a disc is an image of a concept in
    pre-training, a triangle one of a concept out of it.

    Args:
        features: side -> unit rows ``(n, d)`` and the label ``(n,)`` of each.
        names: side -> the names that labels index.
        title: what the figure shows.
        out: the file.
    """
    import numpy as np

    image = np.concatenate([rows for rows, _ in features.values()])
    side = np.concatenate([np.full(len(rows), name) for name, (rows, _) in features.items()])
    label = np.concatenate([labels for _, labels in features.values()])
    place = embed(image)
    with style.drawing():
        figure, (axes,) = style.panels(1, 1, 8.5, 7.5)
        axes.set_axis_off()
        for name in features:
            chosen = side == name
            said, marker = SIDES[name]
            colour = [style.COLOURS[y % len(style.COLOURS)] for y in label[chosen]]
            counted = f"{said}: {int(chosen.sum()):,} images of {len(names[name])} concepts"
            paint: dict[str, Any] = {"marker": marker, "s": 13, "alpha": 0.45 if name == "ip" else 0.9}
            axes.scatter(place[chosen, 0], place[chosen, 1], c=colour, linewidths=0, label=counted, **paint)
        _names(axes, place, side, label, names)
        figure.suptitle(title, x=0.02, ha="left", fontsize=11)
        handles, labels = axes.get_legend_handles_labels()
        made = figure.legend(handles, labels, loc="outside lower center", ncols=2)
        for handle in made.legend_handles:
            if handle is not None:
                handle.set(color=style.GREY, alpha=1.0)  # a colour is a class, not a side
        style.save(figure, out, title)


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


def _names(axes: Axes, place: Array, side: Array, label: Array, names: Mapping[str, tuple[str, ...]]) -> None:
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
        said = axes.text(float(x), height, text, fontsize=6, fontweight=weight, ha="center", va="center", bbox=paper)
        said.set_in_layout(False)  # a name may reach over the edge of the plane, the plane keeps its size
