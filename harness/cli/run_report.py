"""The end of a run: a table of methods by metrics, tables per domain, failures, and commands to try next."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.cli import console
from harness.cli.print_tables import print_tables
from harness.datasets.layout import short_name
from harness.files import read_file
from harness.leaderboard.data_warnings import data_warnings
from harness.leaderboard.failures import failure_groups
from harness.leaderboard.pretraining import absent_names
from harness.leaderboard.row_settings import SettingNames, by_setting, unique_titles
from harness.leaderboard.series import row_labels, row_title
from harness.leaderboard.statistics import other_images
from harness.leaderboard.tables import Table, best_places, percent, signed
from harness.metrics.accuracy import difference
from harness.metrics.built_in import HEADLINES
from harness.metrics.metric import Metric
from harness.metrics.table import summary_metrics
from harness.plots.looks import REFERENCE
from harness.progress import pluralize
from harness.runner.request import Outcome
from harness.types.leaderboard import Row, Stat


def show(outcome: Outcome, json: bool, per_domain: bool) -> None:
    """Print the rows of a run: JSON only, or tables, failures, excluded images and what to do next.

    Args:
        outcome: of the run.
        json: print the leaderboard file's content.
        per_domain: print figures of every domain, also where the terminal is too narrow for one table.
    """
    if json:
        console.json_text(outcome.leaderboard.text().removesuffix("\n"))
        return
    rows, err = outcome.leaderboard.rows, console.err()
    settings = by_setting(rows)
    names, labels = unique_titles(settings), row_labels(rows)
    for setting, its_rows in settings.items():
        ordered = _ordered(its_rows, labels)
        print_tables(_summary(names[setting], ordered, labels, console.out().width), "text")
        print_tables(_per_domain(ordered, labels, console.out().width, per_domain), "text")
    for warning in data_warnings(rows):
        err.print(warning, style="yellow", markup=False, soft_wrap=True)
    _show_failures(outcome, labels)
    done = f"{pluralize(outcome.computed, 'cells')} computed, {outcome.reused} known"
    err.print(f"{done}; leaderboard: {outcome.file}", markup=False)
    if rows:
        _show_next(outcome)


def show_logs(outcome: Outcome) -> None:
    """Show what failed cells printed, with their tracebacks."""
    for log in outcome.logs:
        printed = read_file(log).decode(errors="replace")
        console.err().print(f"{log}:\n{printed}", markup=False, highlight=False, soft_wrap=True)


def _ordered(rows: Sequence[Row], labels: Mapping[str, str]) -> list[Row]:
    """By rising shots, if there are several numbers of them, then by falling mean of the main metric."""
    several, main = _several_shots(rows), _main(rows).name
    mean = {row.id: row.mean[main].mean if main in row.mean else -1.0 for row in rows}
    return sorted(rows, key=lambda row: (row.shots if several else 0, -mean[row.id], labels[row.id]))


def _main(rows: Sequence[Row]) -> Metric:
    """The first of the main metrics that a row has, else the first that sums it up."""
    metrics = {metric.name: metric for metric in summary_metrics(metric for row in rows for metric in row.metrics)}
    return metrics[next((name for name in HEADLINES if name in metrics), next(iter(metrics)))]


def _several_shots(rows: Sequence[Row]) -> bool:
    return len({row.shots for row in rows if row.shots}) > 1


def _summary(names: SettingNames, rows: Sequence[Row], labels: Mapping[str, str], width: int) -> list[Table]:
    """Means over domains: methods by metrics, in as few tables as fit; what was discovered in pools comes last."""
    metrics = summary_metrics(metric for row in rows for metric in row.metrics)
    of_pool = [metric for metric in metrics if metric.sides == ("pool",)]
    of_images = [_means(rows, metric) for metric in metrics if metric not in of_pool]
    finders = [row for row in rows if any(metric.name in row.metrics for metric in of_pool)]
    differences = _differences(rows)
    tables = [
        *_methods(rows, labels, [*of_images, *([differences] if differences else []), _wholes(rows)], width),
        *_methods(finders, labels, [_means(finders, metric) for metric in of_pool], width),
    ]
    tables[0] = replace(tables[0], title=names.title(0 if _several_shots(rows) else max(row.shots for row in rows)))
    note = "percent, mean over domains ± standard deviation over seeds"
    note += f"; Δ: {_main(rows).heading} minus that of {REFERENCE}" if differences else ""
    tables[-1] = replace(tables[-1], notes=[note, *_only_oop(rows, labels), f"OOP names absent from {_corpus(rows)}"])
    return tables


def _only_oop(rows: Sequence[Row], labels: Mapping[str, str]) -> list[str]:
    """Why rows have no figures of IP images."""
    return [f"{labels[row.id]} has only OOP figures: {row.not_applicable}" for row in rows if row.not_applicable]


def _corpus(rows: Sequence[Row]) -> str:
    """The corpus of the model, and what its record says of the OOP names; the rows share data and model."""
    return f"{rows[0].backbone_record.corpus}: {absent_names(rows[0]).text}"


@dataclass(frozen=True)
class _Column:
    """A column of numbers, and the rows of its best ones."""

    heading: str
    cells: Sequence[str]
    best: Collection[int] = ()


def _methods(rows: Sequence[Row], labels: Mapping[str, str], columns: Sequence[_Column], width: int) -> list[Table]:
    """A line for each row, columns side by side, in as few tables of equal size as fit."""
    heads = [[labels[row.id], str(row.shots or "-")][: 1 + _several_shots(rows)] for row in rows]
    left = len(heads[0]) if heads else 1
    lines = [[*head, *(column.cells[i] for column in columns)] for i, head in enumerate(heads)]
    best = {(row, left + number) for number, column in enumerate(columns) for row in column.best}
    head = ("method", "shots")[:left]
    table = Table("", (*head, *(column.heading for column in columns)), lines, 1, (), best)
    return table.parts(width, left) if columns else []


def _means(rows: Sequence[Row], metric: Metric) -> _Column:
    """The means of a metric over domains."""
    stats = [row.mean.get(metric.name) for row in rows]
    best, _ = best_places([[stat.mean if stat else None for stat in stats]], [metric.higher_is_better])
    return _Column(metric.heading, [_percent(stat) for stat in stats], {row for row, _ in best})


def _wholes(rows: Sequence[Row]) -> _Column:
    """How many of all domains have all results."""
    lost = [{failure.domain for failure in row.failures} for row in rows]
    every = {domain for row, failed in zip(rows, lost, strict=True) for domain in (*row.domains, *failed)}
    cells = [f"{len(row.domains.keys() - failed)} of {len(every)}" for row, failed in zip(rows, lost, strict=True)]
    return _Column("domains", cells)


def _differences(rows: Sequence[Row]) -> _Column | None:
    """The mean of the main metric minus that of the baseline on the same images; None without a comparison."""
    metric, baselines = _main(rows).name, [row for row in rows if row.method == REFERENCE]
    if len(baselines) in (0, len(rows)):
        return None
    return _Column("Δ", [_difference(row, metric, baselines) for row in rows])


def _difference(row: Row, metric: str, baselines: Sequence[Row]) -> str:
    base = next((one for one in baselines if other_images(row, one) is None and metric in one.mean), None)
    if base is None or row.method == REFERENCE or metric not in row.mean:
        return "-"
    return signed(difference(row.mean[metric].mean, base.mean[metric].mean))


def _per_domain(rows: Sequence[Row], labels: Mapping[str, str], width: int, always: bool) -> list[Table]:
    """Figures of every domain: one table of all rows if it fits, else one for each row, if they are asked for."""
    domains = sorted({domain for row in rows for domain in row.domains})
    wide = _wide(rows, labels, domains)
    if wide.width <= width:
        return [wide] if domains else []
    return [table for row in rows for table in _narrow(row_title(row, labels), row, width)] if always else []


def _wide(rows: Sequence[Row], labels: Mapping[str, str], domains: Sequence[str]) -> Table:
    """A line for each row and metric."""
    several = _several_shots(rows)
    lines = []
    for row in rows:
        head = row_title(row, labels) if several else labels[row.id]
        for metric in summary_metrics(row.metrics):
            lines.append((head, metric.heading, *(_percent(row.domains.get(d, {}).get(metric.name)) for d in domains)))
            head = ""
    return Table("", ("method", "", *map(short_name, domains)), lines, 2)


def _narrow(title: str, row: Row, width: int) -> list[Table]:
    """A line for each domain, metrics side by side, in as few tables of equal size as fit."""
    metrics = summary_metrics(row.metrics)
    lines = [(short_name(d), *(_percent(row.domains[d].get(m.name)) for m in metrics)) for d in row.domains]
    return Table(title, ("domain", *(metric.heading for metric in metrics)), lines).parts(width)


def _percent(stat: Stat | None) -> str:
    """The mean, with its deviation over seeds if there is any, in enough digits to show that it is not zero."""
    if stat is None:
        return "-"
    return percent(stat.mean) + (f" ±{signed(stat.std).removeprefix('+')}" if stat.n > 1 and stat.std else "")


def _show_failures(outcome: Outcome, labels: Mapping[str, str]) -> None:
    err = console.err()
    for row in outcome.leaderboard.rows:
        for group in failure_groups(row):
            where = f"{labels[row.id]}, {pluralize(row.shots, 'shots')}, {group.where}"
            err.print(f"{group.kind}: {where}: {group.reason}", style="red", markup=False)
    images = sorted(
        {path for row in outcome.leaderboard.rows for data in row.data.values() for path in data.unreadable}
    )
    if images:
        what = "image could not be read and is" if len(images) == 1 else "images could not be read and are"
        err.print(f"{len(images)} {what} not scored:", style="yellow")
        for path in images[:10]:
            err.print(f"  {outcome.unreadable.get(path, path)}", markup=False)
        if len(images) > 10:
            err.print(f"  and {len(images) - 10} more; the leaderboard file lists all")


def _show_next(outcome: Outcome) -> None:
    """Commands that make sense of this run."""
    rows, folder = outcome.leaderboard.rows, shlex.quote(str(outcome.file.parent))
    methods = {row.method for row in rows}
    baseline = f" --baseline {REFERENCE}" if REFERENCE in methods and len(methods) > 1 else ""
    commands = {f"harness leaderboard show {folder}{baseline}": "ranks, intervals, tests"}
    if len({row.shots for row in rows if row.shots}) > 1:
        commands[f"harness plot shots {folder}"] = "accuracy against shots"
    commands[f"harness leaderboard build {folder}"] = "a page for the browser"
    console.message("next:")
    for command, what in commands.items():
        console.message(f"  {command}  # {what}")
