"""``harness leaderboard show --by-frequency``: accuracy of concepts by how many pre-training captions mention them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cli import console
from harness.cli.print_tables import Form, print_tables
from harness.errors import UserError
from harness.leaderboard.by_frequency import FrequencyBin, concept_accuracies, frequency_bins, frequency_fit
from harness.leaderboard.pretraining import absent_names
from harness.leaderboard.row_settings import RowSetting, by_setting, unique_titles
from harness.leaderboard.series import row_labels
from harness.leaderboard.tables import Table, percent, signed
from harness.leaderboard.view import read_sources
from harness.types.leaderboard import Row

Bins = Mapping[str, FrequencyBin]
"""Captions, as text -> the concepts with so many."""


def show_by_frequency(files: Sequence[Path], methods: Sequence[str], shots: Sequence[int], wanted: Form) -> int:
    """Run ``harness leaderboard show --by-frequency``.

    Raises:
        UserError: no row has counts.
    """
    rows = read_sources(files).select(methods, shots).rows
    bins = {
        row.id: {one.text: one for one in frequency_bins(found)} for row in rows if (found := concept_accuracies(row))
    }
    if not bins:
        raise UserError(
            "no row has counts of its names in the corpus of its model",
            "`harness corpus count` makes a record, `harness evaluate --corpus-record` adds it",
        )
    settings = by_setting(row for row in rows if row.id in bins)
    if wanted == "json":
        console.document([_document(row, bins[row.id]) for found in settings.values() for row in found])
        return 0
    print_tables([_table(setting, found, bins, settings) for setting, found in settings.items()], wanted)
    return 0


def _table(
    setting: RowSetting, rows: Sequence[Row], bins: Mapping[str, Bins], settings: Mapping[RowSetting, Sequence[Row]]
) -> Table:
    every = sorted({one.low: one.text for row in rows for one in bins[row.id].values()}.items())
    concepts = {text: max(bins[row.id][text].concepts for row in rows if text in bins[row.id]) for _, text in every}
    labels = row_labels(rows)
    columns = ["method", "shots", *(f"{text} ({concepts[text]})" for _, text in every), "per decade"]
    cells = [
        (labels[row.id], str(row.shots or "-"), *(_share(bins[row.id].get(text)) for _, text in every), _slope(row))
        for row in rows
    ]
    names = unique_titles(settings)[setting]
    title = f"{names.title(0)}: mean accuracy by captions that mention a concept (concepts)"
    corpus = rows[0].backbone_record.corpus
    notes = [
        f"percent; OOP names absent from {corpus}: {absent_names(rows[0]).text}",
        "per decade: points for ten times as many captions, by a line over the concepts with captions",
    ]
    return Table(title, columns, cells, 1, notes)


def _share(found: FrequencyBin | None) -> str:
    return percent(found.accuracy) if found else "-"


def _slope(row: Row) -> str:
    fit = frequency_fit(concept_accuracies(row))
    return signed(fit.slope) if fit else "-"


def _document(row: Row, bins: Bins) -> dict[str, Any]:
    fit = frequency_fit(concept_accuracies(row))
    return {
        "row": row.id,
        "method": row.method,
        "shots": row.shots,
        "bins": [one._asdict() for one in bins.values()],
        "slope": fit and fit.slope,
        "slope_interval": fit and [fit.slope_interval.low, fit.slope_interval.high],
        "correlation": fit and fit.correlation,
    }
