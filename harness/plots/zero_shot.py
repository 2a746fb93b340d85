"""Zero-shot accuracy on IP and OOP concepts, bars per domain: the paper's Figure 4."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.datasets.layout import short_name
from harness.leaderboard.published import PublishedRow, PublishedTable
from harness.leaderboard.row_settings import setting, unique_titles
from harness.plots import style
from harness.plots.published_rows import comparable
from harness.types.leaderboard import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDES = {
    "ip_top1": ("in pre-training (IP)", style.COLOURS[0], "", -0.2),
    "oop_top1": ("out of pre-training (OOP)", style.COLOURS[5], "////", 0.2),
}
"""Metric -> name, colour, hatch (visible in grey too) and offset from the tick."""


def plot_zero_shot(rows: Sequence[Row], out: Path, published: Sequence[PublishedTable] = ()) -> None:
    """Draw and write the figure: a panel per row, one row per backbone.

    Args:
        rows: of a method without images, complete or not; a failed domain is marked as failed.
        out: the file.
        published: tables whose figures of the same data and model are marked on the bars.
    """
    names = unique_titles(map(setting, rows))
    domains = sorted({domain for row in rows for domain in row.data} | {f.domain for row in rows for f in row.failures})
    with style.drawing():
        figure, axes = style.panels(len(rows), 1, max(3.5, 0.9 * len(domains) + 0.8), 2.4)
        for panel, row in zip(axes, rows, strict=True):
            called = names[setting(row)]
            panel.set_title(style.wrapped(figure, f"{called.backbone}, {called.dataset}, {called.protocol}", 11))
            panel.grid(axis="x", visible=False)
            panel.set_xticks(range(len(domains)), [short_name(domain) for domain in domains])
            panel.set_xlim(-0.6, len(domains) - 0.4)
            panel.set_ylim(0, 110)
            panel.set_yticks(range(0, 101, 20))
            _bars(panel, row, domains)
            _marks(panel, domains, [r for r in comparable(published, row) if not r.shots])
        figure.supylabel("top-1 (%)", fontsize=9)
        handles, labels = axes[0].get_legend_handles_labels()
        style.legend(figure, handles, labels, len(labels))
        title = f"Zero-shot accuracy of {rows[0].method} on IP and OOP concepts"
        style.title(figure, title)
        style.save(figure, out, title)


def _bars(panel: Axes, row: Row, domains: Sequence[str]) -> None:
    for metric, (label, colour, hatch, shift) in SIDES.items():
        found = [(i, stat) for i, d in enumerate(domains) if (stat := row.domains.get(d, {}).get(metric))]
        places = [i + shift for i, _ in found]
        heights = [100 * stat.mean for _, stat in found]
        panel.bar(places, heights, 0.38, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=label)
        for x, height in zip(places, heights, strict=True):
            panel.annotate(f"{height:.1f}", (x, height), (0, 2), textcoords="offset points", ha="center", fontsize=7)
    for i, domain in enumerate(domains):
        if domain not in row.domains:
            failed = any(failure.domain == domain and failure.kind != "missing" for failure in row.failures)
            panel.annotate("failed" if failed else "not run", (i, 1), ha="center", fontsize=7, color=style.GREY)


def _marks(panel: Axes, domains: Sequence[str], published: Sequence[PublishedRow]) -> None:
    for metric, (label, _, _, shift) in SIDES.items():
        for reference in published:
            found = [
                (i, v) for i, d in enumerate(domains) if (v := reference.domains.get(d, {}).get(metric)) is not None
            ]
            if found:
                side = label.partition("(")[2].rstrip(")")
                marker = "_" if metric == "ip_top1" else "x"
                panel.scatter(
                    [i + shift for i, _ in found], [100 * v for _, v in found], marker=marker, color=style.INK, s=36,
                    linewidth=1.4, zorder=3, label=f"{reference.method}, published, {side}",
                )  # fmt: skip
