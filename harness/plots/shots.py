"""Accuracy against shots, a panel per domain: the paper's Figure 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.datasets.layout import short_name
from harness.leaderboard.published import PublishedRow
from harness.leaderboard.series import Series, series
from harness.leaderboard.statistics import Interval
from harness.metrics.table import require_metric
from harness.plots import style
from harness.types.leaderboard import Row, Stat

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


Intervals = Mapping[tuple[str, str], Interval]
"""(row id, domain) -> 95 % interval of the metric, where predictions are stored."""


def plot_shots(
    rows: Sequence[Row],
    out: Path,
    metric: str,
    intervals: Intervals | None = None,
    published: Sequence[PublishedRow] = (),
) -> None:
    """Draw and write the figure.

    A band is the 95 % interval, or one standard deviation over seeds on either side where there is none. A method that
    uses no few-shot image is a level line. Domains that a row lacks are gaps in its line; an incomplete row is drawn
    where it has figures.

    Args:
        rows: of one setting.
        out: the file.
        metric: e.g. ``oop_top1``.
        intervals: of the rows' figures.
        published: results to draw as marks; those of other domains or metrics are left out.
    """
    lines, axis = series(rows), require_metric(metric).axis
    domains = sorted({domain for row in rows for domain in row.domains})
    shots = sorted({row.shots for row in rows if row.shots})
    with style.drawing():
        figure, axes = style.panels(len(domains), 3, 2.8, 2.0)
        for panel, domain in zip(axes, domains, strict=True):
            panel.set_title(short_name(domain))
            for line, look in zip(lines, _looks(lines), strict=True):
                _draw(panel, look, line, domain, metric, intervals or {})
            _draw_published(panel, lines, domain, metric, published)
            panel.set_xscale("log", base=2)
            panel.set_xticks(shots or [1], [str(s) for s in shots] or [""])
            panel.minorticks_off()
        axes[0].set_ylim(bottom=0)  # shared by all, and fixed from here on
        band = "95 % intervals" if intervals else "one standard deviation over seeds"
        axes[-1].set_xlabel(f"few-shot images per class\nbands: {band}")
        figure.supylabel(f"{axis} (%)", fontsize=9)
        handles, labels = _legend(axes)
        style.legend(figure, handles, labels, 4)
        setting = rows[0]
        title = f"{axis} against shots: {setting.dataset}, {setting.backbone}"
        style.title(figure, f"{title}, {setting.protocol}")
        style.save(figure, out, title)


def _looks(lines: Sequence[Series]) -> list[dict[str, Any]]:
    """How each line is drawn: one that needs no few-shot image has no marker, but its own dash."""
    looks = [style.look(index) for index in range(len(lines))]
    level = [look for line, look in zip(lines, looks, strict=True) if not line.needs_shots]
    for number, look in enumerate(level):
        look |= {"marker": "", "linestyle": style.LEVELS[number % len(style.LEVELS)]}
    return looks


def _draw(panel: Axes, look: Mapping[str, Any], line: Series, domain: str, metric: str, intervals: Intervals) -> None:
    found = [(row, stat) for row in line.rows if (stat := row.domains.get(domain, {}).get(metric)) is not None]
    if not found:
        return
    if not line.needs_shots:
        panel.axhline(100 * found[0][1].mean, linewidth=1.4, label=line.label, **look)
        return
    places = [row.shots for row, _ in found]
    panel.plot(places, [100 * stat.mean for _, stat in found], markersize=4, linewidth=1.4, label=line.label, **look)
    low, high = zip(*(_span(stat, intervals.get((row.id, domain))) for row, stat in found), strict=True)
    panel.fill_between(places, low, high, color=look["color"], alpha=0.18, linewidth=0)


def _span(stat: Stat, interval: Interval | None) -> tuple[float, float]:
    if interval is not None:
        return 100 * interval.low, 100 * interval.high
    return 100 * (stat.mean - stat.std), 100 * (stat.mean + stat.std)


def _draw_published(
    panel: Axes, lines: Sequence[Series], domain: str, metric: str, published: Sequence[PublishedRow]
) -> None:
    """Hollow marks in the colour of our own line of the same method, grey where we have none."""
    own = {line.rows[0].method: look for line, look in zip(lines, _looks(lines), strict=True) if line.needs_shots}
    for reference in published:
        value = reference.domains.get(domain, {}).get(metric)
        if value is None or not reference.shots:
            continue
        look = own.get(reference.method)
        paint: dict[str, Any] = {"marker": "x", "color": style.GREY}
        if look is not None:
            paint = {"marker": look["marker"], "facecolors": "none", "edgecolors": look["color"]}
        label = f"{reference.method}, published"
        panel.scatter([reference.shots], [100 * value], s=42, zorder=3, label=label, **paint)


def _legend(axes: Sequence[Axes]) -> tuple[list[Artist], list[str]]:
    """Every line once, also one that a domain lacks."""
    found: dict[str, Artist] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(str(label), handle)
    return list(found.values()), list(found)
