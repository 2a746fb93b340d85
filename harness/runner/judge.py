"""The parent's half of running cells: it builds what a cell's process gets, and judges what the process sends back.

Labels never leave this process, and no method's code runs in it.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import overload

from harness.errors import HarnessError, NotApplicable
from harness.execution.jobs import JobFailure, JobResult
from harness.execution.one_thread import one_thread_per_operation
from harness.progress import NullReporter, Reporter
from harness.prompts import Template
from harness.results.copies import count_copies
from harness.results.predictions import digest, pack
from harness.runner.array_files import ArrayFiles
from harness.runner.cell_input import CellInput
from harness.runner.cell_output import CellOutput, CellReport
from harness.runner.clustered_cell import ClusteredCell
from harness.runner.feature_provider import FeatureProvider
from harness.runner.job import Job, cell_title
from harness.runner.named_cell import NamedCell
from harness.runner.pack_images import ImagePacker
from harness.runner.throughput import Throughput
from harness.types.cell import Cell, Cost, Failure

OpenCell = NamedCell | ClusteredCell
"""A cell whose answer is awaited."""


class Judge(Sequence[CellInput]):
    """The inputs of all jobs, each built when a process is ready for it, and the cells that their answers make.

    Args:
        jobs: the cells to run.
        template: the prompt template of class names.
        provider: serves features and labels.
        files: for large arrays; None hands over all in memory.
        report: reports the cells that run.
        throughput: counts the cells of every machine or device.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        template: Template,
        provider: FeatureProvider,
        files: ArrayFiles | None = None,
        report: Reporter | None = None,
        throughput: Throughput | None = None,
    ) -> None:
        self._jobs, self._template, self._provider, self._files = jobs, template, provider, files
        self._report = report or NullReporter()
        self._open: dict[int, tuple[OpenCell, ImagePacker]] = {}
        self._refused: dict[int, Cell] = {}
        self._throughput = throughput or Throughput()

    def __len__(self) -> int:
        return len(self._jobs)

    @overload
    def __getitem__(self, number: int) -> CellInput: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[CellInput]: ...
    def __getitem__(self, number: int | slice) -> CellInput | Sequence[CellInput]:
        """The input of a job; raises what makes it impossible, which ``cell`` then reports."""
        if isinstance(number, slice):
            return [self[each] for each in range(len(self))[number]]
        job = self._jobs[number]
        kind = NamedCell if job.scoring == "names" else ClusteredCell
        packer = ImagePacker(job, self._provider, self._files)
        try:
            with one_thread_per_operation(self._provider.device):
                opened = kind(job, self._template, self._provider, packer)
        except Exception as error:
            packer.remove_files()  # a full disk has room for other cells again
            self._refused[number] = _failed(job, error)
            raise
        self._open[number] = opened, packer
        self._report_running()
        return opened.input

    def _report_running(self) -> None:
        titles = [cell_title(self._jobs[number].spec) for number in self._open]
        self._report.running([*self._throughput.lines(), *titles])

    def cell(self, result: JobResult) -> tuple[Cell, bytes]:
        """The cell of a finished job, and its log."""
        job, value = self._jobs[result.number], result.value
        self._throughput.count(result.place)
        if result.number in self._refused:
            return self._refused[result.number], b""
        asked, packer = self._open.pop(result.number)
        self._report_running()
        packer.remove_files()
        if isinstance(value, JobFailure):
            subject = "" if value.kind == "setup" else f"{job.spec.method.name} "
            failed = Cell(spec=job.spec, failure=Failure(kind="error", reason=subject + value.reason))
            return failed, result.log + value.trace.encode(errors="backslashreplace")
        try:
            output = CellOutput.parse(value)
        except ValueError:
            fault = f"{job.spec.method.name} sent something that is not an answer"
            return Cell(spec=job.spec, failure=Failure(kind="error", reason=fault)), result.log
        log = result.log + output.report.trace.encode(errors="backslashreplace")
        if output.report.failure is not None:
            failure = Failure(kind=output.report.kind, reason=output.report.failure)
            return Cell(spec=job.spec, failure=failure), log
        try:
            with one_thread_per_operation(self._provider.device):
                return self._judged(job, asked, output, result.isolation), log
        except (HarnessError, ValueError) as error:
            return _failed(job, error), log

    def _judged(self, job: Job, asked: OpenCell, output: CellOutput, isolation: str) -> Cell:
        """The cell of an answer.

        Raises:
            HarnessError: the answer breaks the contract.
            ValueError: it is no answer to this input.
        """
        if len(output.report.fits) != len(asked.input.tasks):
            raise ValueError("there is not one report of every fit")
        scores, data = asked.scores(output), self._provider.domains[job.spec.domain]
        answers = pack(scores.predictions)
        return Cell(
            spec=job.spec,
            metrics=scores.metrics,
            per_class=scores.per_class,
            not_applicable=output.report.not_applicable,
            images=scores.images,
            outcome=scores.outcome,
            remarks=scores.remarks,
            unreadable=tuple(sorted(asked.unreadable)),
            copies=count_copies(job.spec.method, data.sheet, job.manifest, asked.unreadable),
            left_out=data.sheet.left_out,
            collisions=self._provider.collisions(job.spec.domain, self._template),
            revision=data.revision,
            isolation=isolation,
            features_from=self._provider.features_from(job),
            predictions=digest(answers),
            cost=_cost(output.report),
            predictions_content=answers,
        )


def _cost(report: CellReport) -> Cost:
    return Cost(
        fit_seconds=sum(fit.fit_seconds for fit in report.fits),
        score_seconds=sum(fit.score_seconds for fit in report.fits),
        trainable=sum(fit.trainable for fit in report.fits),
        peak_host_bytes=report.peak_host_bytes,
        peak_gpu_bytes=report.peak_gpu_bytes,
    )


def _failed(job: Job, error: Exception) -> Cell:
    """The cell of a job that cannot be run or judged."""
    if isinstance(error, NotApplicable):
        return Cell(spec=job.spec, failure=Failure(kind="not applicable", reason=error.message))
    reason = error.message if isinstance(error, HarnessError) else f"{job.spec.method.name}: {error}"
    trace = "" if isinstance(error, HarnessError) else "".join(traceback.format_exception(error))
    return Cell(spec=job.spec, failure=Failure(kind="error", reason=reason), trace=trace)
