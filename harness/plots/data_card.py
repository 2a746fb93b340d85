"""Classes, images, and images per class of a data folder: the paper's Figures 1 and 2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.datasets.card.records import DataCard, FolderCard
from harness.datasets.layout import group_by_run, short_name
from harness.plots import style
from harness.plots.looks import SIDE_LOOKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_card(card: DataCard) -> Figure:
    """Draw three panels over the domains.

    Args:
        card: the description of the data; where a domain and side has several folders, each has its own place.
    """
    from matplotlib.ticker import MaxNLocator

    groups = _groups(card)
    with style.drawing():
        figure, panels = style.column(3, max(4.5, 0.9 * len(groups) + 1.5), 2.0)
        _bars(panels[0], groups, lambda folder: len(folder.classes))
        _bars(panels[1], groups, FolderCard.images)
        _boxes(panels[2], groups)
        for panel, title in zip(panels, ("classes", "images", "images per class"), strict=True):
            panel.set_title(title)
            panel.grid(axis="x", visible=False)
            panel.margins(y=0.15)
            panel.set_ylim(bottom=0)
            panel.yaxis.set_major_locator(MaxNLocator(integer=True))
        panels[-1].set_xticks(range(len(groups)), list(groups))
        panels[-1].set_xlim(-0.6, len(groups) - 0.4)
        panels[-1].set_xlabel("boxes: quartiles, whiskers: smallest and largest class")
        handles, labels = panels[0].get_legend_handles_labels()
        style.legend(figure, handles, labels)
        figure.set_label(f"Classes and images of {card.dataset}")
    return figure


def _groups(card: DataCard) -> dict[str, list[FolderCard]]:
    """Label -> the folders that are drawn side by side: those of a domain, or each alone if a side has several."""
    by_name = {folder.folder: folder for folder in card.folders}
    domains = Counter(folder.domain for folder in card.folders)
    found = {}
    for names in group_by_run(list(by_name)):
        domain = by_name[names[0]].domain
        label = short_name(domain) if len(names) == domains[domain] else names[0]
        found[label] = [by_name[name] for name in names]
    return found


def _places(groups: dict[str, list[FolderCard]], side: str) -> list[tuple[float, FolderCard]]:
    """Where the folders of a side are drawn."""
    shift = SIDE_LOOKS[side].offset
    return [(x + shift, folder) for x, own in enumerate(groups.values()) for folder in own if folder.side == side]


def _bars(panel: Axes, groups: dict[str, list[FolderCard]], height: Callable[[FolderCard], int]) -> None:
    for side, own in SIDE_LOOKS.items():
        found = [(place, height(folder)) for place, folder in _places(groups, side)]
        if not found:
            continue
        places, heights = zip(*found, strict=True)
        style.bars(panel, places, heights, own)
        for x, value in found:
            panel.annotate(f"{value:,}", (x, value), (0, 2), textcoords="offset points", ha="center", fontsize=7)


def _boxes(panel: Axes, groups: dict[str, list[FolderCard]]) -> None:
    for side, own in SIDE_LOOKS.items():
        for place, folder in _places(groups, side):
            panel.boxplot(
                [sum(one.images.values()) for one in folder.classes], positions=[place], widths=0.3, whis=(0, 100),
                manage_ticks=False, patch_artist=True, medianprops={"color": style.INK},
                boxprops={"facecolor": own.colour, "hatch": own.hatch, "edgecolor": style.GREY},
            )  # fmt: skip
