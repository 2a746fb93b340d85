"""Run a request: plan, look up stored cells, encode missing features, run cells, and write the leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness.device import require_torch
from harness.errors import HarnessError
from harness.execution.jobs import Limits, memory_share
from harness.leaderboard.assemble import assemble
from harness.leaderboard.pretraining import PretrainingFinder
from harness.leaderboard.tables import percent
from harness.leaderboard.update import update_leaderboard
from harness.metrics.built_in import BUILT_IN, HEADLINES
from harness.progress import NullReporter, Reporter
from harness.results.leaderboard_file import BOARD
from harness.results.store import ResultStore
from harness.runner.array_files import ArrayFiles
from harness.runner.corpus_records import corpus_records, given_records
from harness.runner.job import Job, cell_title
from harness.runner.method_processes import sandbox, start_server
from harness.runner.observers import Observers, observer_limits, require_observers, run_info
from harness.runner.plan import Plan, make_plan
from harness.runner.request import Outcome, Request
from harness.types.cell import Cell, Failure
from harness.types.leaderboard import Leaderboard

PROCESSES = 256
"""That a cell may start, with ``isolate``."""


def evaluate(request: Request, report: Reporter | None = None, plan: Plan | None = None) -> Outcome:
    """Run a request. Stored cells are not computed again; every new cell is stored as soon as it is finished.

    Args:
        request: the run.
        report: shows progress.
        plan: of the request, if it was made before.

    Raises:
        HarnessError: nothing can be run, or results cannot be written. A failing cell raises nothing: it becomes a
            failure in its row.
    """
    report = report or NullReporter()
    store = ResultStore(request.out.expanduser())
    store.prepare()
    given = given_records(request)
    require_observers(request)
    plan = plan or make_plan(request, report)
    records = corpus_records(given, plan, report)
    known = store.known((job.spec.key for job in plan.jobs), report.note)
    pending = [job for job in plan.jobs if job.spec.key not in known]
    cells, planned = dict(known), [job.spec for job in plan.jobs]
    unreadable: dict[str, str] = {}
    logs: list[Path] = []
    for job in plan.jobs:  # first, so that every stored cell has its manifest and labels
        if job.manifest is not None:
            store.put_manifest(job.manifest)
    for data in plan.domains.values():
        store.put_labels(data.sheet)
    for record in records:
        store.put_corpus_record(record)
    wanted = {(domain, seed) for domain in plan.domains for seed in request.seeds}

    def rows() -> Leaderboard:
        found = assemble(cells.values(), wanted, plan.lost)
        return PretrainingFinder.of_folder(store.root).added_to_all(found)

    try:
        run, limits = run_info(plan, request, len(known)), observer_limits(request, plan)
        with Observers(request, run, lambda: rows().rows, report, limits) as observers:
            for cell, log in _run(plan, pending, request, report, unreadable):
                cell = store.put(cell)
                cells[cell.spec.key] = cell
                logs += _report_problems(cell, log, store, report)
                _report_result(cell, report)
                observers.finished(cell)
    except BaseException:  # Ctrl-C, or a full disk: what is finished is shown all the same
        with suppress(HarnessError):
            update_leaderboard(store, planned)
        raise
    update_leaderboard(store, planned)
    return Outcome(rows(), store.root / BOARD, len(pending), len(known), unreadable, tuple(logs))


def _report_problems(cell: Cell, log: bytes, store: ResultStore, report: Reporter) -> list[Path]:
    """Report what went wrong in a cell, and store the log of a failed one: its output and its traceback."""
    where = cell_title(cell.spec)
    for remark in cell.remarks:
        report.note(f"{where}: {remark}; other results are not affected")
    if cell.failure is None or cell.failure.kind != "error":
        return []
    logs = [store.put_log(cell.spec.key, log)] if log else []
    report.note(f"failed: {where}: {cell.failure.reason}" + "".join(f" (log: {path})" for path in logs))
    return logs


def _report_result(cell: Cell, report: Reporter) -> None:
    """Report the main figure of a cell."""
    name = next((name for name in HEADLINES if name in cell.metrics), None)
    if name is not None:
        report.result(f"{cell_title(cell.spec)}: {BUILT_IN[name].heading} {percent(cell.metrics[name])}")


def _run(
    plan: Plan, pending: list[Job], request: Request, report: Reporter, unreadable: dict[str, str]
) -> Iterator[tuple[Cell, bytes]]:
    """Encode missing features, then run cells; each comes with its output, if it ran alone in its process."""
    refused, pending = _refused(pending, lambda job: job.not_applicable)
    yield from refused
    if not pending:
        return
    require_torch()
    start_server()
    # Imported only when there is something to compute: a second run needs neither torch nor a model.
    from harness.execution.executors import Executor, isolated, processes
    from harness.feature_cache.workload import require_room
    from harness.runner.feature_provider import provider_of
    from harness.runner.judge import Judge
    from harness.runner.run_cell import make_cell_worker
    from harness.runner.workloads import lacking, workloads

    provider = provider_of(plan, request.workers)
    refused, pending = _refused(pending, partial(lacking, provider))
    yield from refused
    if not pending:
        return
    require_room(workloads(provider, pending))
    provider.encode(pending, report)
    unreadable |= provider.unreadable
    large = any(job.method.kinds or job.method.test_views > 1 for job in pending)
    files = ArrayFiles.of_run(plan.cache) if large else None
    judge = Judge(pending, plan.protocol.template, provider, files, report)
    make_worker = partial(make_cell_worker, plan.resolved, plan.device, plan.protocol.features.unit_rows)
    groups = [job.spec.method.distribution for job in pending]
    executor: Executor = isolated if request.isolate else processes
    limits = _limits(request, plan, pending, files)
    with closing(files) if files else nullcontext(), report.stage("running cells", len(pending), "cells") as advance:
        for result in executor(judge, make_worker, limits, groups):
            yield judge.cell(result)
            advance(1)


def _refused(jobs: Sequence[Job], reason: Callable[[Job], str | None]) -> tuple[list[tuple[Cell, bytes]], list[Job]]:
    """The cells that no method could answer, for which there is a reason, and the other jobs."""
    reasons = [(job, reason(job)) for job in jobs]
    failures = [(job, Failure(kind="not applicable", reason=why)) for job, why in reasons if why]
    return [(Cell(spec=job.spec, failure=why), b"") for job, why in failures], [job for job, why in reasons if not why]


def _limits(request: Request, plan: Plan, cells: Sequence[Job], files: ArrayFiles | None) -> Limits:
    """How many processes run cells, and what a cell may use and touch; a GPU runs one cell at a time."""
    workers = min(request.workers, len(cells)) if plan.device == "cpu" else 1
    readable = {plan.resolved.weights, *(file for job in cells for file in job.method.files)}
    inputs = (files.folder,) if files else ()
    allowed = replace(sandbox(request, plan.domains, readable), unlisted=inputs)
    if not request.isolate:
        return Limits(workers, sandbox=allowed)
    memory = memory_share(workers) if request.cell_gib is None else request.cell_gib * 2**30
    return Limits(workers, request.cell_seconds, memory, PROCESSES, allowed)
