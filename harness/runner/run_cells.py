"""Compute the cells that are not stored yet: encode missing features, then run the cells with an executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from harness.device import require_torch
from harness.execution.jobs import Limits, memory_share
from harness.progress import Reporter
from harness.runner.device_share import cells_per_device, first_wave
from harness.runner.job import Job
from harness.runner.method_processes import sandbox, start_server
from harness.runner.plan import Plan
from harness.runner.request import Request
from harness.runner.throughput import Throughput
from harness.types.cell import Cell, Failure

if TYPE_CHECKING:
    from harness.execution.executors import OpenExecutor
    from harness.runner.array_files import ArrayFiles

LOCAL = "local"
"""The executor whose processes have the files of this one."""

PROCESSES = 256
"""That a cell may start, with ``isolate``."""


def run_cells(
    plan: Plan,
    pending: list[Job],
    request: Request,
    open_executor: OpenExecutor,
    report: Reporter,
    unreadable: dict[str, str],
) -> Iterator[tuple[Cell, bytes]]:
    """Encode missing features, then run cells; each comes with its output, if it ran alone in its process."""
    refused, pending = _refused(pending, lambda job: job.not_applicable)
    yield from refused
    if not pending:
        return
    require_torch()
    start_server()
    # Imported only when there is something to compute: a second run needs neither torch nor a model.
    from harness.execution.executors import ExecutorSettings
    from harness.feature_cache.workload import require_room
    from harness.runner.array_files import ArrayFiles
    from harness.runner.encode_jobs import encode_in_processes, encode_with
    from harness.runner.feature_provider import provider_of
    from harness.runner.judge import Judge
    from harness.runner.node import NodeNeeds, prepare_node
    from harness.runner.remote_features import shared_features
    from harness.runner.run_cell import make_cell_worker
    from harness.runner.workloads import lacking, workloads

    elsewhere = request.executor != LOCAL
    prepare = partial(prepare_node, NodeNeeds.of(plan, encodes=plan.root is not None) if elsewhere else None)
    settings = ExecutorSettings(prepare, request.ray_address, request.workers, report.note)
    with open_executor(settings) as executor:
        provider = provider_of(plan, request.workers)
        refused, pending = _refused(pending, partial(lacking, provider))
        yield from refused
        if not pending:
            return
        require_room(workloads(provider, pending))
        with shared_features(provider, pending, report):
            if plan.root is not None and (elsewhere or len(plan.devices) > 1):
                workers = request.workers if plan.device == "cpu" else len(plan.devices)
                encode_with(executor, Limits(workers, devices=plan.devices), provider, plan, pending, report)
            elif plan.root is not None and plan.device == "cpu":
                encode_in_processes(executor, request.workers, provider, plan, pending, report)
            provider.encode(pending, report)
        unreadable |= provider.unreadable
        large = any(job.method.kinds or job.method.test_views > 1 for job in pending)
        files = ArrayFiles.of_run(plan.cache) if large and not elsewhere else None  # other machines do not have them
        make_worker = partial(make_cell_worker, plan.resolved, plan.protocol.features.unit_rows)
        throughput, peaks = Throughput(), list[int | None]()
        with (
            closing(files) if files else nullcontext(),
            report.stage("running cells", len(pending), "cells") as advance,
        ):
            for jobs in _waves(plan, pending, request):
                judge = Judge(jobs, plan.protocol.template, provider, files, report, throughput)
                groups = [job.spec.method.distribution for job in jobs]
                per_device = request.cells_per_device or cells_per_device(peaks, plan.devices)
                limits = _limits(request, plan, jobs, files, per_device)
                for result in executor(judge, make_worker, limits, groups):
                    cell, log = judge.cell(result)
                    peaks.append(cell.cost.peak_gpu_bytes if cell.cost else None)
                    yield cell, log
                    advance(1)
        for line in throughput.lines():
            report.note(line)


def _refused(jobs: Sequence[Job], reason: Callable[[Job], str | None]) -> tuple[list[tuple[Cell, bytes]], list[Job]]:
    """The cells that no method could answer, for which there is a reason, and the other jobs."""
    reasons = [(job, reason(job)) for job in jobs]
    failures = [(job, Failure(kind="not applicable", reason=why)) for job, why in reasons if why]
    return [(Cell(spec=job.spec, failure=why), b"") for job, why in failures], [job for job, why in reasons if not why]


def _waves(plan: Plan, pending: list[Job], request: Request) -> Iterator[list[Job]]:
    """The cells in order; on GPUs first some that are measured, if nothing says how many run at the same time."""
    measured = [] if plan.device == "cpu" or request.cells_per_device else first_wave(pending)
    chosen = set(map(id, measured))
    yield from filter(None, (measured, [job for job in pending if id(job) not in chosen]))


def _limits(
    request: Request, plan: Plan, cells: Sequence[Job], files: ArrayFiles | None, per_device: int = 1
) -> Limits:
    """How many processes run cells, and what a cell may use and touch."""
    workers = min(request.workers, len(cells)) if plan.device == "cpu" else per_device * len(plan.devices)
    readable = {plan.resolved.weights, *(file for job in cells for file in job.method.files)}
    inputs = (files.folder,) if files else ()
    allowed = replace(sandbox(request, plan.domains, readable), unlisted=inputs)
    limits = Limits(workers, sandbox=allowed, devices=plan.devices)
    if not request.isolate:
        return limits
    memory = memory_share(workers) if request.cell_gib is None else request.cell_gib * 2**30
    return replace(limits, seconds=request.cell_seconds, memory=memory, processes=PROCESSES, isolated=True)
