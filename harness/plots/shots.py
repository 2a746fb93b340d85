"""Accuracy against shots, a panel for the average and for each domain: the paper's Figure 5."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.datasets.layout import short_name
from harness.leaderboard.bootstrap import MEAN
from harness.leaderboard.published import PublishedRow
from harness.leaderboard.series import Series, series
from harness.leaderboard.statistics import Interval
from harness.leaderboard.view import Sources, view
from harness.metrics.table import require_metric
from harness.plots import style
from harness.plots.looks import REFERENCE, MethodLook, look
from harness.types.leaderboard import Row, Stat

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


TALLEST = 2.4
"""Inches of a panel, at most."""

Intervals = Mapping[tuple[str, str], Interval]
"""(row id, domain) -> 95 % interval of the metric, where predictions are stored."""


def intervals_of(sources: Sources, metric: str) -> Intervals:
    """The intervals of all rows that have stored predictions."""
    made = [row for table in view(sources, metric) for row in table.rows]
    return {(one.row.id, place): found for one in made for place, found in one.intervals.items()}


def plot_shots(
    rows: Sequence[Row],
    metric: str,
    intervals: Intervals | None = None,
    published: Sequence[PublishedRow] = (),
    fit: style.Fit = "page",
    title: str | None = None,
) -> Figure:
    """Draw the average first, then a panel per domain.

    A band is the 95 % interval, or one standard deviation over seeds on either side where there is none. A method that
    uses no few-shot image is a level line. Domains that a row lacks are gaps in its line; an incomplete row is drawn
    where it has figures, and has no average.

    Args:
        rows: of one setting.
        metric: e.g. ``oop_top1``.
        intervals: of the rows' figures.
        published: results to draw as marks; those of other domains or metrics are left out.
        fit: the width.
        title: above the figure; None for none.
    """
    lines, axis = _Line.of(rows), require_metric(metric).axis
    domains = sorted({domain for row in rows for domain in row.domains})
    shots = sorted({row.shots for row in rows if row.shots})
    size = style.SIZES[fit]
    with style.drawing():
        places = style.places(domains)
        height = 0.95 * size.width / min(size.panels, len(places))
        figure, axes = style.panels(len(places), size, min(height, TALLEST))
        for panel, place in zip(axes, places, strict=True):
            panel.set_title(f"average of {len(domains)}" if place == MEAN else short_name(place))
            for line in lines:
                _draw(panel, line, place, metric, shots, intervals or {})
            _draw_published(panel, place, metric, published)
            panel.set_xscale("log", base=2)
            panel.set_xticks(shots or [1], [str(s) for s in shots] or [""])
            panel.minorticks_off()
            panel.margins(x=0.08)
        axes[0].set_ylim(bottom=0)  # shared by all, and fixed from here on
        band = "95 % intervals" if intervals else "one standard deviation over seeds"
        figure.supylabel(f"{axis} (%)", fontsize=7)
        style.title(figure, title)
        handles = {line.series.label: line.handle for line in lines} | _published_handles(axes)
        style.legend(figure, list(handles.values()), list(handles), f"few-shot images per class\nbands: {band}")
        one = rows[0]
        figure.set_label(f"{axis} against shots: {one.dataset}, {one.backbone}, {one.protocol}")
    return figure


@dataclass(frozen=True)
class _Line:
    """A series and how it is drawn: its method's colour and marker, and a dash for each series of a method."""

    series: Series
    look: MethodLook
    dash: Any

    @classmethod
    def of(cls, rows: Sequence[Row]) -> list[_Line]:
        lines, seen = [], Counter[str]()
        for one in series(rows):
            method = one.rows[0].method
            dashes = style.DASHES if one.needs_shots or method == REFERENCE else style.LEVELS
            first = 1 if method == REFERENCE else 0  # dashed
            lines.append(cls(one, look(method), dashes[(first + seen[method]) % len(dashes)]))
            seen[method] += 1
        return lines

    @property
    def paint(self) -> dict[str, Any]:
        marker = "" if self.series.rows[0].method == REFERENCE else self.look.marker
        return {"color": self.look.colour, "marker": marker, "linestyle": self.dash, "linewidth": 1.1, "markersize": 3}

    @property
    def handle(self) -> Artist:
        from matplotlib.lines import Line2D

        return Line2D([], [], **self.paint)


def _draw(panel: Axes, line: _Line, place: str, metric: str, shots: Sequence[int], intervals: Intervals) -> None:
    found = [(row, stat) for row in line.series.rows if (stat := _stats(row, place).get(metric)) is not None]
    if not found:
        return
    if not line.series.needs_shots:
        height = 100 * found[0][1].mean
        panel.axhline(height, **{**line.paint, "marker": ""})
        panel.plot(shots, [height] * len(shots), **{**line.paint, "linestyle": ""})
        return
    places = [row.shots for row, _ in found]
    panel.plot(places, [100 * stat.mean for _, stat in found], **line.paint)
    low, high = zip(*(_span(stat, intervals.get((row.id, place))) for row, stat in found), strict=True)
    panel.fill_between(places, low, high, color=line.look.colour, alpha=0.18, linewidth=0)


def _stats(row: Row, place: str) -> Mapping[str, Stat]:
    return row.mean if place == MEAN else row.domains.get(place, {})


def _span(stat: Stat, interval: Interval | None) -> tuple[float, float]:
    if interval is not None:
        return 100 * interval.low, 100 * interval.high
    return 100 * (stat.mean - stat.std), 100 * (stat.mean + stat.std)


def _draw_published(panel: Axes, place: str, metric: str, published: Sequence[PublishedRow]) -> None:
    """Hollow marks in the look of the method."""
    for reference in published:
        value = (reference.mean if place == MEAN else reference.domains.get(place, {})).get(metric)
        if value is None or not reference.shots:
            continue
        own = look(reference.method)
        label = f"{reference.method}, published"
        panel.scatter(
            [reference.shots], [100 * value], s=22, zorder=3, label=label, marker=own.marker, facecolors="none",
            edgecolors=own.colour, linewidths=0.9,
        )  # fmt: skip


def _published_handles(axes: Sequence[Axes]) -> dict[str, Artist]:
    """Every published method once, also one that a domain lacks."""
    found: dict[str, Artist] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(str(label), handle)
    return found
