"""``harness evaluate --dry-run``: what a run would compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli import console
from harness.cli.display import clock
from harness.cli.stdout import only_results
from harness.progress import Reporter, pluralize
from harness.runner.request import Request

if TYPE_CHECKING:
    from harness.feature_cache.workload import Workload
    from harness.runner.estimate import Estimate
    from harness.runner.job import Job
    from harness.runner.plan import Plan

COLUMNS = ("method", "domain", "shots", "seed", "state", "cell")


def planned(request: Request, report: Reporter, json: bool, verbose: bool) -> int:
    """Count the cells of a run, and what is missing in the feature cache; nothing is run.

    Args:
        request: the run.
        report: shows progress.
        json: print the summary and all cells as JSON.
        verbose: also list all cells.
    """
    from harness.results.store import ResultStore
    from harness.runner.estimate import estimate
    from harness.runner.plan import make_plan

    with only_results():
        plan = make_plan(request, report)
    store = ResultStore(request.out)
    known = store.known((job.spec.key for job in plan.jobs), report.note)
    pending = [job for job in plan.jobs if job.spec.key not in known]
    with only_results():
        needed = _workloads(plan, pending, request) if pending else []
    cost = estimate(pending, store)
    cells = [
        (s.method.name, s.domain, s.shots, s.seed, "known" if s.key in known else "to run", s.key)
        for s in (job.spec for job in plan.jobs)
    ]
    if json:
        sizes = [
            {"kind": one.extractor.kind, "rows": one.rows, "missing": one.missing, "bytes": one.missing_bytes}
            for one in needed
        ]
        document = [dict(zip(COLUMNS, cell, strict=True)) for cell in cells]
        expected = {**vars(cost), "workers": _workers(plan, request)}
        counts = {"to_run": len(pending), "known": len(known)}
        console.document({**counts, "features": sizes, "expected": expected, "cells": document})
        return 0
    console.lines(*_summary(plan, len(known), len(pending), needed), *_expectation(cost, plan, request))
    if verbose:
        lines = [(*map(str, cell[:-1]), cell[-1][:12]) for cell in cells]
        console.out().print(console.table("", COLUMNS, lines, left=2))
    return 0


def _summary(plan: Plan, known: int, pending: int, needed: Sequence[Workload]) -> list[str]:
    methods = dict.fromkeys(job.spec.method.name for job in plan.jobs)
    shots = ", ".join(map(str, sorted({job.spec.shots for job in plan.jobs if job.spec.shots})))
    seeds = ", ".join(map(str, sorted({job.spec.seed for job in plan.jobs if not job.spec.seedless})))
    grid = [pluralize(len(methods), "methods"), pluralize(len(plan.domains), "domains")]
    grid += [f"shots {shots}"] if shots else []
    grid += [f"seeds {seeds}"] if seeds else []
    return [
        f"{pluralize(known + pending, 'cells')}: {known:,} known, {pending:,} to run ({', '.join(grid)})",
        *(workload.summary for workload in needed),
    ]


def _workers(plan: Plan, request: Request) -> int:
    """Cells that run at the same time on this machine, one for each GPU if nothing else is said."""
    return request.workers if plan.device == "cpu" else len(plan.devices) * (request.cells_per_device or 1)


def _expectation(cost: Estimate, plan: Plan, request: Request) -> list[str]:
    """Time and memory, by the costs of earlier cells."""
    workers, lines = _workers(plan, request), list[str]()
    if cost.cells:
        low, expected, high = (clock(seconds / workers) for seconds in (cost.low, cost.expected, cost.high))
        hours = f", {cost.expected / 3600:.2g} GPU-hours at one cell for each GPU" if plan.device != "cpu" else ""
        of = f"{pluralize(cost.cells, 'cells')}, by {pluralize(cost.of, 'cells')} of earlier runs"
        lines += [f"expected for {of}: {expected} ({low} to {high}) on {pluralize(workers, 'workers')}{hours}"]
    for what, size in (("memory", cost.host_bytes), ("GPU memory", cost.gpu_bytes)):
        if size is not None:
            lines += [f"peak {what}: {size / 1e9:.1f} GB for a cell, {workers * size / 1e9:.1f} GB for all workers"]
    if cost.unknown:
        methods = ", ".join(sorted(cost.unknown))
        lines += [f"no earlier cell says how long {pluralize(cost.unknown.total(), 'cells')} take: {methods}"]
    return lines


def _workloads(plan: Plan, pending: Sequence[Job], request: Request) -> list[Workload]:
    """What the cells to run need of the feature cache; loads the model, whose features have some size."""
    from harness.runner.feature_provider import provider_of
    from harness.runner.workloads import lacking, workloads

    provider = provider_of(plan, request.workers)
    return workloads(provider, [job for job in pending if not (job.not_applicable or lacking(provider, job))])
