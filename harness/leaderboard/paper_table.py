"""The layout of the paper's Table 2 in LaTeX: methods by domains, with OOP, IP and their harmonic mean for each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.datasets.layout import short_name
from harness.leaderboard.bootstrap import MEAN
from harness.leaderboard.series import row_labels
from harness.leaderboard.tables import best_places, percent, tex
from harness.leaderboard.view import ViewTable
from harness.progress import pluralize
from harness.types.leaderboard import Row

METRICS = {"oop_top1": "OOP", "ip_top1": "IP", "h_mean": "H"}
"""The three columns of a domain, with their headings."""

GROUPS = 5
"""Domains side by side, the average among them; the others follow below. So they fit the width of a page."""


def paper_table(table: ViewTable, printed: Mapping[str, str]) -> str:
    """A ``table*`` with booktabs rules, caption and label; the best of a column is bold, the second underlined.

    Methods without few-shot images come first, then the others by rising H of the average. A row that is incomplete has
    no average.

    Args:
        table: rows of one setting.
        printed: method -> its name in print; others are printed by their own names.
    """
    labels = row_labels(made.row for made in table.rows)
    rows = sorted((made.row for made in table.rows), key=lambda row: (row.shots, _value(row, MEAN, "h_mean") or 0))
    names = [labels[row.id].replace(row.method, printed.get(row.method, row.method), 1) for row in rows]
    places = [MEAN, *table.domains]
    parts = -(-len(places) // GROUPS)
    size = -(-len(places) // parts)
    blocks = [_block(rows, names, places[start : start + size]) for start in range(0, len(places), size)]
    form = "l" + "ccc" * size
    ids = [f"% {row.id} {name}" for row, name in zip(rows, names, strict=True)]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}; rows of the leaderboard:",
            *ids,
            r"\begin{table*}[t]",
            r"\centering",
            r"\small",
            r"\setlength{\tabcolsep}{2.5pt}",
            rf"\begin{{tabular}}{{{form}}}",
            r"\toprule",
            ("\n" + r"\midrule[\heavyrulewidth]" + "\n").join(blocks),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{_caption(table, rows)}}}",
            rf"\label{{tab:{_label(table)}}}",
            r"\end{table*}",
            "",
        ]
    )


def _block(rows: Sequence[Row], names: Sequence[str], places: Sequence[str]) -> str:
    """Some domains with all methods."""
    columns = [(place, metric) for place in places for metric in METRICS]
    values = [[_value(row, *column) for row in rows] for column in columns]
    best, second = best_places(values, [True] * len(columns))
    titles = ["Average" if place == MEAN else tex(short_name(place)) for place in places]
    ends = [(2 + 3 * i, 4 + 3 * i) for i in range(len(places))]
    lines = [
        " & ".join(["", *(rf"\multicolumn{{3}}{{c}}{{{title}}}" for title in titles)]) + r" \\",
        " ".join(rf"\cmidrule(lr){{{first}-{last}}}" for first, last in ends),
        " & ".join(["Method", *list(METRICS.values()) * len(places)]) + r" \\",
        r"\midrule",
    ]
    for number, name in enumerate(names):
        cells = [_cell(own[number], (number, at) in best, (number, at) in second) for at, own in enumerate(values)]
        lines.append(" & ".join([tex(name), *cells]) + r" \\")
    return "\n".join(lines)


def _cell(value: float | None, best: bool, second: bool) -> str:
    if value is None:
        return "--"
    text = percent(value)
    return rf"\textbf{{{text}}}" if best else rf"\underline{{{text}}}" if second else text


def _value(row: Row, place: str, metric: str) -> float | None:
    stats = row.mean if place == MEAN else row.domains.get(place, {})
    return stats[metric].mean if metric in stats else None


def _caption(table: ViewTable, rows: Sequence[Row]) -> str:
    shots = f"{table.shots}-shot " if table.shots else ""
    seeds = sorted({len(row.seeds) for row in rows if not row.seedless})
    over = f", mean over {pluralize(seeds[0], 'seeds')}" if len(seeds) == 1 else ", mean over seeds" if seeds else ""
    names = table.names
    where = tex(f"{names.dataset}, {names.backbone}, protocol {names.protocol}")
    return (
        rf"{shots}OOP-to-IP open-vocabulary prediction ({where}): top-1 accuracy in percent{over}. "
        r"H: harmonic mean of OOP and IP. Best in bold, second underlined."
    )


def _label(table: ViewTable) -> str:
    names = table.names
    text = f"{names.dataset}-{names.backbone}-{names.protocol}" + (f"-{table.shots}-shot" if table.shots else "")
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")
