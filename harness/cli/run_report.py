"""The plan and the results of a run, as tables or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.cli import console
from harness.cli.print_tables import even_parts, print_tables
from harness.cli.stdout import only_results
from harness.datasets.layout import short_name
from harness.files import read_file
from harness.leaderboard.data_warnings import data_warnings
from harness.leaderboard.row_settings import SettingNames, by_setting, unique_titles
from harness.leaderboard.series import row_labels
from harness.leaderboard.tables import Table, percent
from harness.metrics.table import summary_metrics
from harness.progress import Reporter, pluralize
from harness.runner.request import Outcome, Request
from harness.types.leaderboard import Row, Stat

if TYPE_CHECKING:
    from harness.feature_cache.workload import Workload
    from harness.runner.job import Job
    from harness.runner.plan import Plan


def planned(request: Request, report: Reporter, json: bool) -> int:
    """List the cells of a run and whether they are cached; nothing is run."""
    from harness.results.store import ResultStore
    from harness.runner.plan import make_plan

    with only_results():
        plan = make_plan(request, report)
    known = ResultStore(request.out).known((job.spec.key for job in plan.jobs), report.note)
    columns = ("method", "domain", "shots", "seed", "state", "cell")
    rows = [
        (s.method.name, s.domain, s.shots, s.seed, "known" if s.key in known else "to run", s.key)
        for s in (job.spec for job in plan.jobs)
    ]
    pending = [job for job in plan.jobs if job.spec.key not in known]
    with only_results():
        needed = _workloads(plan, pending, request) if pending else []
    if json:
        cells = [dict(zip(columns, row, strict=True)) for row in rows]
        sizes = [
            {"kind": one.extractor.kind, "rows": one.rows, "missing": one.missing, "bytes": one.missing_bytes}
            for one in needed
        ]
        console.document({"cells": cells, "features": sizes})
        return 0
    lines = [(*map(str, row[:-1]), row[-1][:12]) for row in rows]
    console.out().print(console.table("", columns, lines, left=2))
    console.lines(f"{pluralize(len(rows), 'cells')}: {len(known)} known, {len(rows) - len(known)} to run")
    for workload in needed:
        console.lines(workload.summary)
    return 0


def _workloads(plan: Plan, pending: Sequence[Job], request: Request) -> list[Workload]:
    """What the cells to run need of the feature cache; loads the model, whose features have some size."""
    from harness.runner.feature_provider import provider_of
    from harness.runner.workloads import lacking, workloads

    provider = provider_of(plan, request.workers)
    return workloads(provider, [job for job in pending if not (job.not_applicable or lacking(provider, job))])


def show(outcome: Outcome, json: bool) -> None:
    """Print the rows of a run: JSON only, or tables, failures and excluded images."""
    if json:
        console.json_text(outcome.leaderboard.text().removesuffix("\n"))
        return
    out, err = console.out(), console.err()
    settings = by_setting(outcome.leaderboard.rows)
    names, labels = unique_titles(settings), row_labels(outcome.leaderboard.rows)
    for setting, its_rows in settings.items():
        rows = sorted(its_rows, key=lambda row: (row.shots, labels[row.id]))
        domains = sorted({domain for row in rows for domain in row.domains})
        if out.width >= 34 + 12 * (len(domains) + 1):
            out.print(_wide(names[setting], rows, labels, domains))
        else:
            for row in rows:
                print_tables(_narrow(f"{names[setting].title(row.shots)}, {labels[row.id]}", row, out.width), "text")
    out.print("percent, mean ± standard deviation over seeds", style="dim")
    for warning in data_warnings(outcome.leaderboard.rows):
        err.print(warning, style="yellow", markup=False, soft_wrap=True)
    _show_failures(outcome, labels)
    done = f"{pluralize(outcome.computed, 'cells')} computed, {outcome.reused} known"
    err.print(f"{done}; leaderboard: {outcome.file}", markup=False)


def show_logs(outcome: Outcome) -> None:
    """Show what failed cells printed, with their tracebacks."""
    for log in outcome.logs:
        printed = read_file(log).decode(errors="replace")
        console.err().print(f"{log}:\n{printed}", markup=False, highlight=False, soft_wrap=True)


def _wide(names: SettingNames, rows: Sequence[Row], labels: Mapping[str, str], domains: Sequence[str]) -> object:
    """One table of all rows, with a column of shots where they differ."""
    shots = {row.shots for row in rows if row.shots}
    left = 2 if len(shots) > 1 else 1
    lines = []
    for row in rows:
        head = (labels[row.id], str(row.shots or ""))[:left]
        for metric, label in _shown(row).items():
            cells = [_percent(row.domains.get(domain, {}).get(metric)) for domain in domains]
            lines.append((*head, label, *cells, _percent(row.mean.get(metric))))
            head = ("",) * left
    columns = (*("method", "shots")[:left], "", *map(short_name, domains), f"mean of {len(domains)}")
    title = names.title(0 if left > 1 else max(shots, default=0))
    return console.table(title, columns, lines, left=left + 1)


def _narrow(title: str, row: Row, width: int) -> list[Table]:
    """A line for each domain, metrics side by side, in as few tables of equal size as fit."""
    shown = _shown(row)

    def table(metrics: Sequence[str]) -> Table:
        lines = [(d, *(_percent(row.domains[d].get(m)) for m in metrics)) for d in row.domains]
        lines.append((f"mean of {len(row.domains)}", *(_percent(row.mean.get(m)) for m in metrics)))
        return Table("", ("domain", *(shown[metric] for metric in metrics)), lines)

    domains = table(()).width
    own = [table([metric]).width - domains for metric in shown]
    first, *rest = [table(list(shown)[part]) for part in even_parts(domains, own, width)] or [table(())]
    return [replace(first, title=title), *rest]


def _shown(row: Row) -> dict[str, str]:
    """The metrics of a row that are listed at the end of a run, with their headings."""
    return {metric.name: metric.heading for metric in summary_metrics(row.metrics)}


def _percent(stat: Stat | None) -> str:
    if stat is None:
        return "-"
    return percent(stat.mean) + (f" ±{percent(stat.std)}" if stat.n > 1 else "")


def _show_failures(outcome: Outcome, labels: Mapping[str, str]) -> None:
    err = console.err()
    for row in outcome.leaderboard.rows:
        for failure in row.failures:
            seed = "" if failure.seed is None else f", seed {failure.seed}"
            where = f"{labels[row.id]}, {pluralize(row.shots, 'shots')}, {failure.domain}{seed}"
            err.print(f"{failure.kind}: {where}: {failure.reason}", style="red", markup=False)
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
