"""Run a request: plan, look up stored cells, encode missing features, run cells, and write the leaderboard."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

from harness.device import require_torch
from harness.errors import HarnessError
from harness.execution.garbage import uncollected
from harness.files import list_paths
from harness.leaderboard.assemble_stored import assemble_stored
from harness.leaderboard.pretraining import PretrainingFinder
from harness.leaderboard.tables import percent
from harness.leaderboard.update import update_leaderboard
from harness.metrics.built_in import BUILT_IN, HEADLINES
from harness.progress import NullReporter, Reporter
from harness.results.leaderboard_file import BOARD
from harness.results.store import ResultStore
from harness.runner.corpus_records import corpus_records, given_records
from harness.runner.job import cell_title
from harness.runner.method_processes import start_server
from harness.runner.observers import Observers, observer_limits, require_observers, run_info
from harness.runner.plan import Plan, make_plan
from harness.runner.request import Outcome, Request
from harness.runner.resolve_plugins import resolve_executor
from harness.runner.run_cells import run_cells
from harness.types.cell import Cell
from harness.types.leaderboard import Leaderboard


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
    open_executor = resolve_executor(request.executor, request.ray_address, report)  # before data are read
    store = ResultStore(request.out.expanduser())
    store.prepare()
    given = given_records(request)
    require_observers(request)
    plan = plan or make_plan(request, report, partial(_import_early, store, report))
    records = corpus_records(given, plan, report)
    known = store.known((job.spec.key for job in plan.jobs), report.note)
    pending = [job for job in plan.jobs if job.spec.key not in known]
    planned = [job.spec for job in plan.jobs]
    unreadable: dict[str, str] = {}
    logs: list[Path] = []
    draws = {id(job.manifest): job.manifest for job in plan.jobs}  # by identity: hashing one takes a millisecond
    for manifest in draws.values():  # first, so that every stored cell has its manifest and labels
        if manifest is not None:
            store.put_manifest(manifest)
    for data in plan.domains.values():
        store.put_labels(data.sheet)
    for record in records:
        store.put_corpus_record(record)
    wanted = {(domain, seed) for domain in plan.domains for seed in request.seeds}

    def rows() -> Leaderboard:
        found = assemble_stored(planned, store.latest, wanted, plan.lost)
        return PretrainingFinder.of_folder(store.root).added_to_all(found)

    try:
        run, limits = run_info(plan, request, len(known)), observer_limits(request, plan)
        with Observers(request, run, lambda: rows().rows, report, limits) as observers:
            for cell, log in run_cells(plan, pending, request, open_executor, report, unreadable):
                cell = store.put(cell)
                logs += _report_problems(cell, log, store, report)
                _report_result(cell, report)
                observers.finished(cell)
    except BaseException:  # Ctrl-C, or a full disk: what is finished is shown all the same
        with suppress(HarnessError):
            update_leaderboard(store, planned)
        raise
    update_leaderboard(store, planned)
    return Outcome(rows(), store.root / BOARD, len(pending), len(known), unreadable, tuple(logs))


def _import_early(store: ResultStore, report: Reporter) -> None:
    """If no cell can be known, import here what takes seconds while the processes' server does: both are used later.

    So the two do not wait for each other, and data are then prepared and read without a pause before they are encoded.
    """
    if list_paths(store.root / "cells", "*"):
        return
    start_server()
    with uncollected(), report.stage("importing libraries", 2, "libraries") as advance:
        require_torch()
        advance(1)
        import harness.runner.feature_provider  # noqa: F401, open_clip among others

        advance(1)


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
