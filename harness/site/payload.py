"""The page's content as JSON: the table, and the details of rows, which are read on demand."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.datasets.layout import SHORT_NAMES
from harness.leaderboard.bootstrap import BootstrapDraws
from harness.leaderboard.by_frequency import concept_accuracies, frequency_bins, frequency_fit
from harness.leaderboard.pretraining import absent_names
from harness.leaderboard.published import PublishedTable
from harness.leaderboard.row_settings import SettingNames, setting, unique_titles
from harness.leaderboard.series import row_labels
from harness.leaderboard.statistics import Interval
from harness.leaderboard.view import Sources, ViewRow, view
from harness.metrics.built_in import HEADLINES, in_table_order
from harness.metrics.table import find_metric
from harness.plots.looks import COLOURS, REFERENCE, SIDE_LOOKS, look
from harness.results.leaderboard_file import BOARD
from harness.site import links
from harness.site.classes import Classes
from harness.site.dendromap import dendromaps
from harness.site.gains import gains
from harness.site.reproduce_command import evaluate_command, reproduce_command
from harness.site.thumbnails import Thumbnails
from harness.types.leaderboard import Row, Stat

Figure = list[int]
"""Mean, standard deviation, seeds (0 for a row that depends on none), and the 95 % interval if there is one; in
hundred-thousandths of a percent.

With fewer digits, rounding twice would make one figure in fourteen differ from the terminal's."""


@dataclass(frozen=True)
class Payload:
    """The content of the page.

    Attributes:
        table: read when the page opens.
        details: read when the first row is opened.
    """

    table: dict[str, Any]
    details: dict[str, Any]


def payload(
    sources: Sources,
    published: Sequence[PublishedTable] = (),
    file: str = BOARD,
    thumbnails: Thumbnails | None = None,
) -> Payload:
    """The content of a page of some rows.

    Args:
        sources: the rows, with the artifacts of their files.
        published: published figures to show with them.
        file: the leaderboard file in the commands that reproduce rows.
        thumbnails: of the classes, if the data are given.
    """
    there = {metric for row in sources.rows for metric in row.metrics}
    metrics = {name: metric for name in in_table_order(there) if (metric := find_metric(name))}
    views = _views(sources, list(metrics))
    labels = row_labels(sources.rows)
    names = unique_titles(map(setting, sources.rows))
    rows = [_row(row, names[setting(row)], labels[row.id], sources, views[row.id]) for row in sources.rows]
    lines, gained = gains(((names[setting(row)].protocol, names[setting(row)].dataset), row) for row in sources.rows)
    domains = sorted({d for row in sources.rows for d in _domains(row)} | {d for t in published for d in _printed(t)})
    table = {
        "metrics": [[name, m.heading, m.meaning, m.higher_is_better] for name, m in metrics.items()],
        "headlines": list(HEADLINES),
        "summary": [name for name, metric in metrics.items() if metric.summary],
        "short": dict(SHORT_NAMES),
        "domains": domains,
        "reference": REFERENCE,
        "looks": {method: _look(*look(method)) for method in sorted({row.method for row in sources.rows})},
        "sides": {side: _look(own.colour, own.marker) for side, own in SIDE_LOOKS.items()},
        "benchmark": links.benchmark(),
        "links": links.methods(sources.rows),
        "rows": [row | {"gain": _gain(gained.get(row["id"]))} for row in rows],
        "lines": lines,
        "published": [row for printed in published for row in _published(printed)],
    }
    return Payload(table, _details(sources, file, Classes(thumbnails)))


def _views(sources: Sources, metrics: Sequence[str]) -> dict[str, dict[str, list[tuple[int, ViewRow]]]]:
    """Row id -> metric -> the row in each table of the metric, with the table's number of shots."""
    found: dict[str, dict[str, list[tuple[int, ViewRow]]]] = {row.id: {} for row in sources.rows}
    draws = BootstrapDraws(sources.rows, sources.artifacts, metrics)
    for metric in metrics:
        for table in view(sources, metric, draws=draws):
            for made in table.rows:
                found[made.row.id].setdefault(metric, []).append((table.shots, made))
    return found


def _row(
    row: Row, names: SettingNames, label: str, sources: Sources, tables: dict[str, list[tuple[int, ViewRow]]]
) -> dict[str, Any]:
    intervals = {metric: found[0][1].intervals for metric, found in tables.items()}
    ranks = {
        metric: known
        for metric, found in tables.items()
        if (known := {str(shots): made.rank for shots, made in found if made.rank is not None})
    }
    cost = sources.costs.get(row.id)
    mark = sources.marks.get(row.content_sha256)
    return {
        "id": row.id,
        "method": row.method,
        "label": label,
        "protocol": names.protocol,
        "dataset": names.dataset,
        "backbone": names.backbone,
        "printed": row.backbone,  # its name in papers
        "shots": row.shots,
        "seeds": 0 if row.seedless else len(row.seeds),
        "needs": list(row.method_record.needs),
        "complete": row.complete,
        "verified": mark is not None and mark.status == "verified",
        "verification": None if mark is None else mark.text,
        "mean": _figures(row, row.mean, {m: i.get("mean") for m, i in intervals.items()}),
        "domains": {
            domain: _figures(row, stats, {m: i.get(domain) for m, i in intervals.items()})
            for domain, stats in row.domains.items()
        },
        "images": _images(row),
        "holes": [[f.domain, f.seed, f.kind, f.reason] for f in row.failures],
        "ranks": ranks,
        "cost": None
        if cost is None
        else [cost.wall_seconds, cost.trainable, cost.peak_host_bytes, cost.peak_gpu_bytes],
    }


def _images(row: Row) -> str:
    """A short hash of the domains and their images; only rows with the same one are compared."""
    content = {domain: (data.fingerprint, data.images) for domain, data in row.data.items()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def _figures(row: Row, stats: dict[str, Stat], intervals: dict[str, Interval | None]) -> dict[str, Figure]:
    return {
        metric: _figure(stat, 0 if row.seedless else stat.n, intervals.get(metric)) for metric, stat in stats.items()
    }


def _figure(stat: Stat, seeds: int, interval: Interval | None) -> Figure:
    ends = [] if interval is None else [_points(interval.low), _points(interval.high)]
    return [_points(stat.mean), _points(stat.std), seeds, *ends]


def _gain(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """The effective gain of a row, in the unit of figures."""
    if found is None:
        return None
    mean = found["mean"]
    domains = {domain: _points(gain) for domain, gain in found["domains"].items()}
    return {"mean": None if mean is None else _points(mean), "domains": domains}


def _look(colour: str, marker: str) -> list[str]:
    """The class of a colour in the page's style, and the marker."""
    return [f"p{COLOURS.index(colour)}" if colour in COLOURS else "ink", marker]


def _points(fraction: float) -> int:
    return round(fraction * 10_000_000)


def _domains(row: Row) -> Iterable[str]:
    return (*row.domains, *row.data, *(failure.domain for failure in row.failures))


def _printed(table: PublishedTable) -> Iterable[str]:
    return (domain for row in table.rows for domain in row.domains)


def _published(table: PublishedTable) -> list[dict[str, Any]]:
    source = f"{table.source.table}: {table.source.caption}"
    return [
        {
            "method": row.method,
            "label": row.printed_name,
            "protocol": table.protocol,
            "dataset": row.dataset,
            "backbone": row.backbone,
            "corpus": row.corpus,
            "shots": row.shots,
            "paper": table.source.paper,
            "source": source,
            "mean": {metric: [_points(value)] for metric, value in row.mean.items()},
            "domains": {d: {m: [_points(v)] for m, v in values.items()} for d, values in row.domains.items()},
            "notes": list(row.notes),
            "other_kind": row.other_kind,
        }
        for row in table.rows
    ]


def _details(sources: Sources, file: str, classes: Classes) -> dict[str, Any]:
    """Row id -> its record; values that many rows share are stored once and referenced by index."""
    pool = _Pool()
    rows = {}
    for row, artifacts in zip(sources.rows, sources.artifacts, strict=True):
        record = row.model_dump(mode="json")
        cost = sources.costs.get(row.id)
        of_sides, jointly = classes.of(row, artifacts, pool.place)
        rows[row.id] = {
            "reproduce": reproduce_command(row, file),
            "evaluate": evaluate_command(row),
            "seeds": [] if row.seedless else list(row.seeds),
            "absent": _absent(row),
            "not_applicable": row.not_applicable,
            "device": row.device,
            "method": pool.place(record["method_record"]),
            "backbone": pool.place(record["backbone_record"]),
            "versions": pool.place(record["versions"]),
            "data": {domain: pool.place(_provenance(data)) for domain, data in record["data"].items()},
            "cost": None if cost is None else cost.model_dump(mode="json"),
            "classes": of_sides,
            "joint": jointly,
            "dendromaps": dendromaps(row, artifacts, pool.place),
            "frequency": _frequency(row),
        }
    return {"pool": pool.values, "rows": rows}


def _absent(row: Row) -> str:
    """How many OOP names are absent from pre-training, and the accuracy on those alone."""
    found = absent_names(row)
    return found.text if found.top1 is None else f"{found.text}; OOP accuracy on those {100 * found.top1:.1f} %"


def _provenance(data: dict[str, Any]) -> dict[str, Any]:
    """The record of a domain without what is known of each name: the page shows that class by class."""
    facts = data["pretraining"]
    by_name = ("verdicts", "captions")
    return {**data, "pretraining": facts and {key: value for key, value in facts.items() if key not in by_name}}


def _frequency(row: Row) -> dict[str, Any] | None:
    """Accuracy by the number of captions that mention a concept; None without counts."""
    concepts = concept_accuracies(row)
    if not concepts:
        return None
    bins = [[one.text, one.concepts, one.accuracy] for one in frequency_bins(concepts)]
    fit = frequency_fit(concepts)
    if fit is None:
        return {"fit": None, "bins": bins}
    powers = [math.log10(concept.captions) for concept in concepts if concept.captions]
    line = {"slope": fit.slope, "intercept": fit.intercept, "correlation": fit.correlation}
    ends = {"low": fit.slope_interval.low, "high": fit.slope_interval.high, "from": min(powers), "to": max(powers)}
    return {"fit": line | ends, "bins": bins}


class _Pool:
    """Values that are stored once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:
        """Index of the value in the list."""
        key = json.dumps(value, sort_keys=True)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]
