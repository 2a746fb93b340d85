"""The worker that executors run: it computes the cell of a job, as bytes that other processes can send."""

from __future__ import annotations

import json
from collections.abc import Callable

from harness.execution.jobs import JobFailure, JobResult
from harness.execution.one_thread import one_thread_per_operation
from harness.prompts import Template
from harness.runner.cell import run_cell
from harness.runner.feature_provider import FeatureProvider
from harness.runner.job import Job
from harness.types.cell import Cell, Failure


class CellWorker:
    """Runs cells on the features of one provider.

    Args:
        provider: serves the features.
        template: the prompt template of class names.
    """

    def __init__(self, provider: FeatureProvider, template: Template) -> None:
        self._provider = provider
        self._template = template

    def __call__(self, job: Job) -> bytes:
        """The cell as three parts: its JSON, its trace as JSON, its predictions."""
        with one_thread_per_operation(self._provider.device):  # for every cell: an earlier one may have changed it
            cell = run_cell(job, self._template, self._provider)
        return b"\n".join(
            (cell.model_dump_json().encode(), json.dumps(cell.trace).encode(), cell.predictions_content or b"")
        )


def make_cell_worker(make_provider: Callable[[], FeatureProvider], template: Template) -> CellWorker:
    """The worker of another process, which loads the backbone there."""
    return CellWorker(make_provider(), template)


def cell_of(job: Job, result: JobResult) -> tuple[Cell, bytes]:
    """The cell of a job and its output; a failed cell if the job has no result, or that of another job."""
    value = result.value
    if isinstance(value, JobFailure):
        subject = "" if value.kind == "setup" else f"{job.spec.method.name} "
        return _failed(job, subject + value.reason), result.log + value.trace.encode(errors="backslashreplace")
    try:
        text, trace, answers = value.split(b"\n", 2)
        cell = Cell.model_validate_json(text).model_copy(update={"predictions_content": answers or None})
        log = result.log + (json.loads(trace) or "").encode(errors="backslashreplace")
    except (ValueError, AttributeError):
        return _failed(job, f"{job.spec.method.name} sent something that is not a cell"), result.log
    if cell.spec != job.spec:
        return _failed(job, f"{job.spec.method.name} sent another cell's result"), result.log
    return cell, log


def _failed(job: Job, reason: str) -> Cell:
    return Cell(spec=job.spec, failure=Failure(kind="error", reason=reason))
