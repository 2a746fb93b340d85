"""Runs cells, here or in worker processes; the numbers do not depend on which.

On the CPU every cell is computed with one thread, in one process or in many: so the order of sums, and with it every
bit of a result, is the same for any number of workers. Workers come from the fork server.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from harness.errors import StorageError
from harness.execution.contexts import ForkServer
from harness.execution.fork_server import end, lead_group
from harness.execution.parcel import Parcel
from harness.features.encode import one_thread_per_operation
from harness.files import LIMITS_HINT
from harness.prompts import Template
from harness.runner.cell import run_cell
from harness.runner.feature_provider import FeatureProvider
from harness.runner.job import Job
from harness.types.cell import Cell, Failure

POLL_SECONDS = 5.0

_provider: FeatureProvider | None = None
_template = Template()


def run_here(jobs: Sequence[Job], template: Template, provider: FeatureProvider) -> Iterator[Cell]:
    """Run jobs in this process, one after the other."""
    for job in jobs:
        with one_thread_per_operation(provider.device):  # for every cell: the one before may have changed it
            cell = run_cell(job, template, provider)
        yield cell


def run_in_workers(
    jobs: Sequence[Job], template: Template, make_provider: Callable[[], FeatureProvider], workers: int
) -> Iterator[Cell]:
    """Run jobs in worker processes; cells come in the order they are finished.

    When a worker is killed (out of memory, say), the cells in flight are tried again one at a time, so that the one
    that kills its worker is found and becomes a failed cell.
    """
    suspects: list[Job] = []
    rest = list(jobs)
    while rest:
        rest = yield from _run(rest, template, make_provider, workers, suspects)
    for job in suspects:
        lost: list[Job] = []
        if (yield from _run([job], template, make_provider, 1, lost)) or lost:
            reason = "the worker process died while running this cell (killed, or out of memory)"
            yield Cell(spec=job.spec, failure=Failure(kind="error", reason=reason))


def _run(
    jobs: list[Job], template: Template, make_provider: Callable[[], FeatureProvider], workers: int, suspects: list[Job]
) -> Generator[Cell, None, list[Job]]:
    """Run jobs until a worker is killed; what was in flight then is added to ``suspects``, the rest returned."""
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)),
        mp_context=ForkServer(),
        initializer=_start,
        initargs=(Parcel((make_provider, template)),),
    )
    todo, waiting = deque(jobs), dict[Future[Cell], Job]()
    try:
        # Few jobs are handed over at a time: after a crash only those are suspects, and Ctrl-C waits for none.
        while todo or waiting:
            while todo and len(waiting) < 2 * workers:
                future = pool.submit(_work, Parcel(todo[0]))  # raises when a worker has just been killed: the job stays
                waiting[future] = todo.popleft()
            done, _ = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            if not done and not _looked_after(pool):
                raise StorageError("worker processes cannot be looked after: no thread can be started", LIMITS_HINT)
            for future in done:
                cell = future.result()
                del waiting[future]
                yield cell
    except BrokenProcessPool:
        suspects += waiting.values()
        return list(todo)
    finally:
        for process in list((pool._processes or {}).values()):
            end(process)
        pool.shutdown(wait=False, cancel_futures=True)
    return []


def _looked_after(pool: ProcessPoolExecutor) -> bool:
    """Whether the pool's own thread runs: where it could not start another it ends, and its results never come."""
    thread: Any = pool._executor_manager_thread
    return thread is None or bool(thread.is_alive())


def _start(start: Parcel[tuple[Callable[[], FeatureProvider], Template]]) -> None:
    global _provider, _template
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    lead_group()
    make_provider, _template = start.open()
    _provider = make_provider()


def _work(job: Parcel[Job]) -> Cell:
    if _provider is None:
        raise RuntimeError("the worker was not started")
    with one_thread_per_operation(_provider.device):
        return run_cell(job.open(), _template, _provider)
