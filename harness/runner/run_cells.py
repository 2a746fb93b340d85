"""Compute the cells that are not stored yet: encode missing features, then run the cells with an executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial

from harness.device import require_torch
from harness.execution.executors import ExecutorSettings
from harness.execution.jobs import Limits, memory_share
from harness.progress import Reporter
from harness.runner.array_files import ArrayFiles
from harness.runner.job import Job
from harness.runner.method_processes import sandbox, start_server
from harness.runner.node import NodeNeeds, prepare_node
from harness.runner.plan import Plan
from harness.runner.request import Request
from harness.runner.resolve_plugins import resolve_executor
from harness.types.cell import Cell, Failure

LOCAL = "local"
"""The executor whose processes have the files of this one."""

PROCESSES = 256
"""That a cell may start, with ``isolate``."""


def run_cells(
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
    from harness.feature_cache.workload import require_room
    from harness.runner.encode_jobs import encode_with
    from harness.runner.feature_provider import provider_of
    from harness.runner.judge import Judge
    from harness.runner.run_cell import make_cell_worker
    from harness.runner.workloads import lacking, workloads

    elsewhere = request.executor != LOCAL
    prepare = partial(prepare_node, NodeNeeds.of(plan, encodes=plan.root is not None) if elsewhere else None)
    settings = ExecutorSettings(prepare, request.ray_address, request.workers, report.note)
    with resolve_executor(request.executor, report)(settings) as executor:
        provider = provider_of(plan, request.workers)
        refused, pending = _refused(pending, partial(lacking, provider))
        yield from refused
        if not pending:
            return
        require_room(workloads(provider, pending))
        if elsewhere and plan.root is not None:
            encode_with(executor, _limits(request, plan, pending, None), provider, plan, pending, report)
        provider.encode(pending, report)
        unreadable |= provider.unreadable
        large = any(job.method.kinds or job.method.test_views > 1 for job in pending)
        files = ArrayFiles.of_run(plan.cache) if large and not elsewhere else None  # other machines do not have them
        judge = Judge(pending, plan.protocol.template, provider, files, report)
        make_worker = partial(make_cell_worker, plan.resolved, plan.protocol.features.unit_rows)
        groups = [job.spec.method.distribution for job in pending]
        limits = _limits(request, plan, pending, files)
        with (
            closing(files) if files else nullcontext(),
            report.stage("running cells", len(pending), "cells") as advance,
        ):
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
        return Limits(workers, sandbox=allowed, devices=(plan.device,))
    memory = memory_share(workers) if request.cell_gib is None else request.cell_gib * 2**30
    return Limits(workers, request.cell_seconds, memory, PROCESSES, allowed, isolated=True, devices=(plan.device,))
