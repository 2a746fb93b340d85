"""Zero-shot accuracy on IP and OOP concepts, bars per domain: the paper's Figure 4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.datasets.layout import short_name
from harness.leaderboard.bootstrap import MEAN
from harness.leaderboard.published import PublishedRow, PublishedTable
from harness.leaderboard.row_settings import setting, unique_titles
from harness.leaderboard.series import row_labels
from harness.plots import style
from harness.plots.looks import SIDE_LOOKS
from harness.plots.published_rows import comparable
from harness.types.leaderboard import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_zero_shot(
    rows: Sequence[Row],
    published: Sequence[PublishedTable] = (),
    fit: style.Fit = "page",
    title: str | None = None,
) -> Figure:
    """Draw a panel per row, one row per backbone, the average first.

    Args:
        rows: of a method without images, complete or not; a failed domain is marked as failed.
        published: tables whose figures of the same data and model are marked on the bars.
        fit: the width.
        title: above the figure; None for none.
    """
    names, labels = unique_titles(map(setting, rows)), row_labels(rows)
    domains = sorted({domain for row in rows for domain in row.data} | {f.domain for row in rows for f in row.failures})
    places = style.places(domains)
    with style.drawing():
        figure, axes = style.panels(len(rows), style.SIZES[fit]._replace(panels=1), 1.7)
        for panel, row in zip(axes, rows, strict=True):
            called = names[setting(row)]
            which = "" if labels[row.id] == row.method else f", {labels[row.id]}"
            heading = f"{called.backbone}, {called.dataset}, {called.protocol}{which}"
            panel.set_title(style.wrapped(heading, 7, figure.get_figwidth() - 0.6))
            panel.grid(axis="x", visible=False)
            shown = ["average" if place == MEAN else short_name(place) for place in places]
            panel.set_xticks(range(len(places)), shown)
            if fit == "column":
                panel.tick_params(axis="x", labelrotation=90)
            panel.set_xlim(-0.6, len(places) - 0.4)
            panel.set_ylim(0, 115)
            panel.set_yticks(range(0, 101, 20))
            _bars(panel, row, places, upright=fit == "column")
            _marks(panel, places, [r for r in comparable(published, row) if not r.shots])
        figure.supylabel("top-1 (%)", fontsize=7)
        style.title(figure, title)
        style.legend(figure, *axes[0].get_legend_handles_labels())
        figure.set_label(f"Zero-shot accuracy of {rows[0].method} on IP and OOP concepts")
    return figure


def _bars(panel: Axes, row: Row, places: Sequence[str], upright: bool) -> None:
    stats = {**row.domains, MEAN: row.mean}
    for side, own in SIDE_LOOKS.items():
        found = [(i, stat) for i, place in enumerate(places) if (stat := stats.get(place, {}).get(f"{side}_top1"))]
        ticks = [i + own.offset for i, _ in found]
        heights = [100 * stat.mean for _, stat in found]
        style.bars(panel, ticks, heights, own)
        for x, height in zip(ticks, heights, strict=True):
            turned = {"rotation": 90, "fontsize": 5} if upright else {"fontsize": 5.5}
            panel.annotate(f"{height:.1f}", (x, height), (0, 2), textcoords="offset points", ha="center", **turned)
    for i, domain in enumerate(places):
        if domain not in (MEAN, *row.domains):
            failed = any(failure.domain == domain and failure.kind != "missing" for failure in row.failures)
            panel.annotate("failed" if failed else "not run", (i, 1), ha="center", fontsize=5.5, color=style.GREY)


def _marks(panel: Axes, places: Sequence[str], published: Sequence[PublishedRow]) -> None:
    for side, own in SIDE_LOOKS.items():
        for reference in published:
            printed = {**reference.domains, MEAN: reference.mean}
            found = [(i, v) for i, d in enumerate(places) if (v := printed.get(d, {}).get(f"{side}_top1")) is not None]
            if found:
                ticks, heights = zip(*((i + own.offset, 100 * v) for i, v in found), strict=True)
                panel.scatter(
                    ticks, heights, marker="_" if side == "ip" else "x", color=style.INK, s=24, linewidth=1.4, zorder=3,
                    label=f"{reference.method}, published, {own.short}",
                )  # fmt: skip
