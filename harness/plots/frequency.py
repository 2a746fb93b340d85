"""Accuracy of each concept against how often the pre-training captions mention it, a panel per method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.leaderboard.by_frequency import ConceptAccuracy, FrequencyFit, concepts_of, frequency_fit
from harness.leaderboard.series import row_labels, row_title
from harness.plots import style
from harness.plots.looks import SIDE_LOOKS
from harness.types.leaderboard import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ZERO = -0.7
"""Where concepts without captions are drawn on the axis of log10 counts."""


def plot_frequency(rows: Sequence[Row], fit: style.Fit = "page", title: str | None = None) -> Figure:
    """Draw a panel for every row.

    Args:
        rows: of one setting.
        fit: the width.
        title: above the figure; None for none.

    Raises:
        UserError: no row has counts.
    """
    concepts = concepts_of(rows)
    shown = [row for row in rows if row.id in concepts]
    labels = row_labels(shown)
    most = max(concept.captions for found in concepts.values() for concept in found)
    size = style.SIZES[fit]
    columns = min(3, size.panels)
    with style.drawing():
        figure, axes = style.panels(len(shown), style.Size(size.width, columns), 0.8 * size.width / columns)
        for panel, row in zip(axes, shown, strict=True):
            _draw(panel, concepts[row.id], row_title(row, labels))
            _scale(panel, most)
        figure.supylabel("accuracy of the concept (%)", fontsize=7)
        style.title(figure, title)
        style.legend(figure, *axes[0].get_legend_handles_labels(), "captions that mention the concept")
        one = shown[0]
        name = f"Accuracy by frequency in {one.backbone_record.corpus}: {one.dataset}, {one.backbone}, {one.protocol}"
        figure.set_label(name)
    return figure


def _draw(panel: Axes, concepts: Sequence[ConceptAccuracy], title: str) -> None:
    for side, own in SIDE_LOOKS.items():
        found = [concept for concept in concepts if concept.side == side]
        x = [np.log10(concept.captions) if concept.captions else ZERO for concept in found]
        y = [100 * concept.accuracy for concept in found]
        label = f"{own.short} concepts"
        panel.scatter(x, y, s=14, color=own.colour, marker=own.marker, alpha=0.6, linewidth=0, label=label)
    fit = frequency_fit(concepts)
    panel.set_title(title if fit is None else f"{title}\n{_slope(fit)}")
    if fit is None:
        return
    counts = [np.log10(concept.captions) for concept in concepts if concept.captions]
    places = np.linspace(min(counts), max(counts), 50)
    low, high = fit.band(places)
    panel.plot(places, 100 * (fit.slope * places + fit.intercept), color=style.INK, linewidth=1.4, label="fit")
    panel.fill_between(places, 100 * low, 100 * high, color=style.INK, alpha=0.15, linewidth=0, label="95 % of the fit")


def _slope(fit: FrequencyFit) -> str:
    """Slope, its interval and the correlation, in two lines that fit a panel of a column."""
    ends = f"{100 * fit.slope_interval.low:+.1f} to {100 * fit.slope_interval.high:+.1f}"
    return f"{100 * fit.slope:+.1f} points per decade\n({ends}), r = {fit.correlation:.2f}"


def _scale(panel: Axes, most: int) -> None:
    """An axis of counts with a place for zero."""
    decades = range(len(str(most)) + (most > 1))
    panel.set_xticks([ZERO, *decades], ["0", *(f"$10^{{{n}}}$" if n > 3 else f"{10**n:,}" for n in decades)])
    for label in panel.get_xticklabels():
        label.set_parse_math(True)
    panel.axvline(ZERO / 2, color=style.GREY, linewidth=0.6, linestyle=":")
    panel.set_xlim(ZERO - 0.3, decades[-1] + 0.1)
    panel.set_ylim(-3, 103)
    panel.set_yticks(range(0, 101, 20))
