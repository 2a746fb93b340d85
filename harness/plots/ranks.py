"""Mean ranks over domains, with bars over methods that do not differ: a critical-difference diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import UserError
from harness.leaderboard.domain_ranks import Comparison, DomainRanks, rank_over_domains
from harness.leaderboard.series import row_labels
from harness.leaderboard.statistics import better_sign
from harness.metrics.table import require_metric
from harness.plots import style
from harness.plots.looks import look
from harness.progress import pluralize
from harness.types.leaderboard import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS, SMALL = 6.5, 5.5
"""Font sizes of labels and of the caption."""
LINE, BAR, EDGE = 0.13, 0.075, 0.04
"""Inches: between labels, between bars, and around the figure."""
NAMES = {"nemenyi": "Nemenyi", "wilcoxon": "Wilcoxon with Holm"}


def plot_ranks(
    rows: Sequence[Row],
    metric: str,
    comparison: Comparison = "nemenyi",
    fit: style.Fit = "page",
    title: str | None = None,
) -> Figure:
    """Draw the figure, as in Demsar (JMLR 2006): the best method is at the left.

    Args:
        rows: with the metric in the same domains.
        metric: e.g. ``h_mean``.
        comparison: the test of each pair.
        fit: the width.
        title: above the figure; None for none.

    Raises:
        UserError: there are fewer than two rows, or two domains.
    """
    domains = sorted(rows[0].domains) if rows else []
    if len(rows) < 2 or len(domains) < 2:
        counts = f"{pluralize(len(rows), 'rows')} and {pluralize(len(domains), 'domains')}"
        raise UserError(f"ranks need two methods and two domains; there are {counts}", "evaluate more of them")
    values = better_sign(metric) * np.array([[row.domains[d][metric].mean for row in rows] for d in domains])
    found = rank_over_domains(values, comparison)
    labels = row_labels(rows)
    methods = {labels[rows[i].id]: rows[i].method for i in found.order}
    with style.drawing():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(style.SIZES[fit].width, 1))
        text = _caption(found, comparison, f"{require_metric(metric).axis}, {len(domains)} domains")
        width = figure.get_figwidth()
        layout = _Layout.of(found, methods, width, style.wrapped(text, SMALL, width - 2 * EDGE))
        figure.set_figheight(layout.height)
        style.title(figure, title)
        panel = figure.add_axes((0.0, 0.0, 1.0, layout.height / figure.get_figheight()))
        panel.set_xlim(0, layout.width)
        panel.set_ylim(layout.height, 0)  # downwards
        panel.axis("off")
        _draw_axis(panel, layout)
        _draw_methods(panel, layout, methods)
        _draw_groups(panel, layout)
        _draw_critical_difference(panel, layout)
        panel.text(EDGE, EDGE, layout.caption, ha="left", va="top", fontsize=SMALL, color=style.GREY)
        one = rows[0]
        figure.set_label(f"Ranks by {metric} over domains: {one.dataset}, {one.backbone}, {one.protocol}")
    return figure


@dataclass(frozen=True)
class _Layout:
    """Where things are, in inches from the upper left corner.

    Attributes:
        found: what is drawn.
        width: of the figure.
        caption: what was ranked and tested, in lines that fit.
        side: width of the labels at either side.
        axis: height of the axis of ranks.
        levels: the line of each group's bar.
    """

    found: DomainRanks
    width: float
    caption: str
    side: float
    axis: float
    levels: tuple[int, ...]

    @classmethod
    def of(cls, found: DomainRanks, methods: Mapping[str, str], width: float, caption: str) -> _Layout:
        longest = max(len(label) for label in methods) + 6  # with the rank
        side = min(0.42 * width, 0.56 * POINTS / 72 * longest + 2 * EDGE)
        axis = 0.3 + 0.1 * caption.count("\n") + (0.3 if found.critical is not None else 0.05)
        return cls(found, width, caption, side, axis, _levels(found.groups))

    @property
    def first_label(self) -> float:
        return self.axis + 0.14 + BAR * (1 + max(self.levels, default=-1))

    @property
    def height(self) -> float:
        return self.first_label + LINE * -(-len(self.found.rank) // 2) + EDGE

    def x(self, rank: float) -> float:
        """The place of a rank on the axis."""
        inner = self.width - 2 * self.side - 2 * EDGE
        return self.side + EDGE + inner * (rank - 1) / (len(self.found.rank) - 1)


def _levels(groups: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The first line for each bar on which it touches no other."""
    ends: list[int] = []
    found = []
    for first, last in groups:
        level = next((i for i, end in enumerate(ends) if end < first), len(ends))
        ends[level : level + 1] = [last]
        found.append(level)
    return tuple(found)


def _draw_axis(panel: Axes, layout: _Layout) -> None:
    k = len(layout.found.rank)
    panel.plot([layout.x(1), layout.x(k)], [layout.axis] * 2, color=style.INK, linewidth=0.8)
    step = max(1, -(-(k - 1) // 10))
    for rank in range(1, k + 1, step):
        panel.plot([layout.x(rank)] * 2, [layout.axis - 0.05, layout.axis], color=style.INK, linewidth=0.8)
        panel.text(layout.x(rank), layout.axis - 0.07, str(rank), ha="center", va="bottom", fontsize=6)


def _draw_methods(panel: Axes, layout: _Layout, methods: Mapping[str, str]) -> None:
    """Labels of the better half at the left, of the others at the right, each with a line to its mean rank."""
    k = len(methods)
    for i, ((label, method), rank) in enumerate(zip(methods.items(), layout.found.rank, strict=True)):
        left = i < (k + 1) // 2
        y = layout.first_label + LINE * (i if left else k - 1 - i)
        end = layout.side if left else layout.width - layout.side
        own = look(method)
        panel.plot([layout.x(rank)] * 2 + [end], [layout.axis, y, y], color=own.colour, linewidth=0.7)
        panel.plot([layout.x(rank)], [layout.axis], own.marker, color=own.colour, markersize=3, clip_on=False)
        text = f"{label}  {rank:.1f}" if left else f"{rank:.1f}  {label}"
        at = end - EDGE if left else end + EDGE
        panel.text(at, y, text, ha="right" if left else "left", va="center", fontsize=POINTS)


def _draw_groups(panel: Axes, layout: _Layout) -> None:
    for (first, last), level in zip(layout.found.groups, layout.levels, strict=True):
        y = layout.axis + 0.08 + BAR * level
        ends = [layout.x(layout.found.rank[first]) - 0.03, layout.x(layout.found.rank[last]) + 0.03]
        panel.plot(ends, [y, y], color=style.INK, linewidth=2.2, solid_capstyle="butt", zorder=3)


def _draw_critical_difference(panel: Axes, layout: _Layout) -> None:
    """Nemenyi's critical difference as a bar of its length, above the axis."""
    critical = layout.found.critical
    if critical is not None:
        start, end = layout.x(1), layout.x(min(1 + critical, len(layout.found.rank)))
        y = layout.axis - 0.28
        panel.plot([start, start, end, end], [y - 0.04, y, y, y - 0.04], color=style.INK, linewidth=0.8)
        panel.text(end + EDGE, y - 0.02, f"critical difference {critical:.2f}", va="center", fontsize=SMALL)


def _caption(found: DomainRanks, comparison: Comparison, what: str) -> str:
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
    return f"mean rank by {what}; Friedman: {p}; bars: no difference at 5 % ({NAMES[comparison]})"
