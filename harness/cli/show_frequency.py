"""``harness leaderboard show --by-frequency``: accuracy of concepts by how many pre-training captions mention them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cli import console
from harness.cli.print_tables import Form, print_tables
from harness.leaderboard.by_frequency import ConceptAccuracy, FrequencyBin, concepts_of, frequency_bins, frequency_fit
from harness.leaderboard.pretraining import absent_names
from harness.leaderboard.row_settings import SettingNames, by_setting, unique_titles
from harness.leaderboard.series import row_labels
from harness.leaderboard.tables import Table, percent, signed
from harness.leaderboard.view import read_sources
from harness.types.leaderboard import Row


class _Figures:
    """The figures of one row: its bins by their text, and its fit."""

    def __init__(self, row: Row, concepts: Sequence[ConceptAccuracy]) -> None:
        self.row = row
        self.bins = {one.text: one for one in frequency_bins(concepts)}
        self.fit = frequency_fit(concepts)


def show_by_frequency(files: Sequence[Path], methods: Sequence[str], shots: Sequence[int], wanted: Form) -> int:
    """Run ``harness leaderboard show --by-frequency``.

    Raises:
        UserError: no row has counts.
    """
    rows = read_sources(files).select(methods, shots).rows
    concepts = concepts_of(rows)
    settings = by_setting(row for row in rows if row.id in concepts)
    figures = {setting: [_Figures(row, concepts[row.id]) for row in found] for setting, found in settings.items()}
    if wanted == "json":
        console.document([_document(one) for found in figures.values() for one in found])
        return 0
    names = unique_titles(settings)
    print_tables([_table(names[setting], found) for setting, found in figures.items()], wanted)
    return 0


def _table(names: SettingNames, figures: Sequence[_Figures]) -> Table:
    """The rows of one setting; ``names`` is its title."""
    sizes: dict[str, int] = {}
    for found in sorted((found for one in figures for found in one.bins.values()), key=lambda found: found.low):
        sizes[found.text] = max(found.concepts, sizes.get(found.text, 0))
    first = figures[0].row
    labels = row_labels(one.row for one in figures)
    columns = ["method", "shots", *(f"{text} ({concepts})" for text, concepts in sizes.items()), "per decade"]
    cells = [
        (labels[one.row.id], str(one.row.shots or "-"), *(_share(one.bins.get(text)) for text in sizes), _slope(one))
        for one in figures
    ]
    title = f"{names.title(0)}: mean accuracy by captions that mention a concept (concepts)"
    notes = [
        f"percent; OOP names absent from {first.backbone_record.corpus}: {absent_names(first).text}",
        "per decade: points for ten times as many captions, by a line over the concepts with captions",
    ]
    return Table(title, columns, cells, 1, notes)


def _share(found: FrequencyBin | None) -> str:
    return percent(found.accuracy) if found else "-"


def _slope(figures: _Figures) -> str:
    return signed(figures.fit.slope) if figures.fit else "-"


def _document(figures: _Figures) -> dict[str, Any]:
    fit = figures.fit
    return {
        "row": figures.row.id,
        "method": figures.row.method,
        "shots": figures.row.shots,
        "bins": [one._asdict() for one in figures.bins.values()],
        "slope": fit and fit.slope,
        "slope_interval": fit and [fit.slope_interval.low, fit.slope_interval.high],
        "correlation": fit and fit.correlation,
    }
