"""Run one cell: features -> task -> fit -> scores -> metrics."""

from __future__ import annotations

import signal
import traceback
from copy import deepcopy
from dataclasses import replace

from harness.errors import HarnessError, NotApplicable, one_line, with_location
from harness.execution.global_state import seeded_global_state
from harness.execution.peak_memory import peaks, start_measuring
from harness.prompts import Template
from harness.results.copies import count_copies
from harness.results.predictions import digest, pack
from harness.runner.cell_scores import CellScores
from harness.runner.clustered_cell import cluster_images
from harness.runner.feature_provider import FeatureProvider
from harness.runner.job import Job
from harness.runner.named_cell import name_images
from harness.types.cell import Cell, Cost, Failure


def run_cell(job: Job, template: Template, provider: FeatureProvider) -> Cell:
    """Run one cell; an error of the method becomes the cell's failure."""
    provider.backbone.text.clear_cache()
    score = name_images if job.scoring == "names" else cluster_images
    try:
        with seeded_global_state(job.spec.seed):  # a method that forgets task.generator is still repeatable
            start_measuring(provider.device)
            fresh = replace(job, method=deepcopy(job.method))  # nothing learned in an earlier cell is left
            scores = score(fresh, template, provider)
            memory = peaks(provider.device)
            answers = pack(scores.predictions)
    except BaseException as error:  # a method is foreign code, and may even call sys.exit
        return _failed(job, error)
    data = provider.domains[job.spec.domain]
    return Cell(
        spec=job.spec,
        metrics=scores.metrics,
        per_class=scores.per_class,
        not_applicable=scores.not_applicable,
        images=scores.images,
        outcome=scores.outcome,
        remarks=scores.remarks,
        unreadable=tuple(sorted(scores.unreadable)),
        copies=count_copies(job.spec.method, data.sheet, job.manifest, scores.unreadable),
        left_out=data.sheet.left_out,
        collisions=provider.collisions(job.spec.domain, template),
        revision=data.revision,
        predictions=digest(answers),
        cost=_cost(scores, memory),
        predictions_content=answers,
    )


def _cost(scores: CellScores, memory: tuple[int | None, int | None]) -> Cost:
    host, gpu = memory
    return Cost(
        fit_seconds=scores.fit_seconds,
        score_seconds=scores.score_seconds,
        trainable=scores.trainable,
        peak_host_bytes=host,
        peak_gpu_bytes=gpu,
    )


def _failed(job: Job, error: BaseException) -> Cell:
    """The cell of a method that failed: why, and where in the code of its own package; Ctrl-C is raised again."""
    if isinstance(error, NotApplicable):
        return Cell(spec=job.spec, failure=Failure(kind="not applicable", reason=error.message))
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        raise error  # in workers SIGINT is ignored, so there the method itself has raised it
    name = job.spec.method.name
    raised = f"{name} raised {type(error).__name__}: {one_line(error)[:300]}"
    reason = error.message if isinstance(error, HarnessError) else raised
    failure = Failure(kind="error", reason=with_location(reason, error, type(job.method).__module__))
    trace = "".join(traceback.format_exception(error))
    return Cell(spec=job.spec, failure=failure, trace=f"{name} failed\n{trace}")
