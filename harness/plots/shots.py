"""Accuracy against shots, a panel per domain: the paper's Figure 5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.plots import style
from harness.plots.reference import Reference
from harness.plots.series import Series, series
from harness.types.leaderboard import Row, Stat

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


def plot_shots(rows: Sequence[Row], out: Path, metric: str, published: Sequence[Reference] = ()) -> None:
    """Draw and write the figure.

    A band is one standard deviation over seeds on either side. A method that uses no few-shot image is a level line.
    Domains that a row lacks are gaps in its line; an incomplete row is drawn where it has figures.

    Args:
        rows: of one setting.
        out: the file.
        metric: e.g. ``oop_top1``.
        published: figures to set beside them; those of other methods, domains or metrics are left out.
    """
    lines = series(rows)
    domains = sorted({domain for row in rows for domain in row.domains})
    shots = sorted({row.shots for row in rows if row.shots})
    with style.drawing():
        figure, axes = style.panels(len(domains), 3, 2.8, 2.0)
        for panel, domain in zip(axes, domains, strict=True):
            panel.set_title(style.short(domain))
            for index, line in enumerate(lines):
                _draw(panel, index, line, domain, metric, shots)
            _draw_published(panel, lines, domain, metric, published)
            panel.set_xscale("log", base=2)
            panel.set_xticks(shots or [1], [str(s) for s in shots] or [""])
            panel.minorticks_off()
        axes[-1].set_xlabel("few-shot images per class")
        figure.supylabel(f"{style.METRICS.get(metric, metric)} (%)", fontsize=9)
        handles, labels = _legend(axes)
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
        setting = rows[0]
        title = f"{style.METRICS.get(metric, metric)} against shots: {setting.dataset}, {setting.backbone}"
        figure.suptitle(f"{title}, {setting.protocol}", x=0.02, ha="left", fontsize=11)
        style.save(figure, out, title)


def _draw(panel: Axes, index: int, line: Series, domain: str, metric: str, shots: Sequence[int]) -> None:
    look = style.look(index)
    if not line.needs_shots:
        stat = line.stat(0, domain, metric)
        if stat is not None:
            panel.axhline(100 * stat.mean, color=look["color"], linestyle=":", linewidth=1.4, label=line.label)
        return
    stats = [(s, line.stat(s, domain, metric)) for s in shots]
    places = [s for s, stat in stats if stat is not None]
    means = [100 * stat.mean for _, stat in stats if stat is not None]
    spans = [_span(stat) for _, stat in stats if stat is not None]
    if places:
        panel.plot(places, means, markersize=4, linewidth=1.4, label=line.label, **look)
        low, high = zip(*spans, strict=True)
        panel.fill_between(places, low, high, color=look["color"], alpha=0.18, linewidth=0)


def _span(stat: Stat) -> tuple[float, float]:
    return 100 * (stat.mean - stat.std), 100 * (stat.mean + stat.std)


def _draw_published(
    panel: Axes, lines: Sequence[Series], domain: str, metric: str, published: Sequence[Reference]
) -> None:
    """Hollow marks in the colour of our own line of the same method, grey where we have none."""
    own = {line.rows[0].method: style.look(i) for i, line in enumerate(lines)}
    for reference in published:
        value = reference.value(domain, metric)
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
