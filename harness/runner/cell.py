"""One cell: features -> task -> fit -> scores -> metrics. The straight line of the harness."""

from __future__ import annotations

import signal
import time
import traceback
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from harness.device import synchronize
from harness.errors import HarnessError, MethodError, NotApplicable, error_location, one_line
from harness.execution.global_state import seeded_global_state
from harness.execution.peak_memory import peaks, start_measuring
from harness.method import Method
from harness.metrics import judge, judge_discovery
from harness.prompts import Template
from harness.results.copies import count_copies
from harness.results.predictions import Columns, digest, pack
from harness.runner.build_task import build_task
from harness.runner.cell_scores import CellScores, report_of
from harness.runner.clustering import cluster_images
from harness.runner.feature_provider import FeatureProvider
from harness.runner.predict import predict_all, reference
from harness.types.cell import Cell, Cost, Failure, Spec

if TYPE_CHECKING:
    from harness.runner.plan import Job


def run_cell(job: Job, template: Template, provider: FeatureProvider) -> Cell:
    """Run one cell; whatever the method does wrong becomes the cell's failure."""
    spec = job.spec
    provider.backbone.text.clear_cache()
    try:
        with seeded_global_state(spec.seed):  # a method that forgets task.generator is still repeatable
            start_measuring(provider.device)
            method = deepcopy(job.method)  # fresh: nothing learned in an earlier cell is left, nor put into a parameter
            if job.scoring != "names":
                found = cluster_images(spec, method, template, provider, mixed=job.scoring == "mixed clusters")
            else:
                found = name_images(job, method, template, provider)
            host, gpu = peaks(provider.device)
            content = pack(found.kept)
    except NotApplicable as answer:
        return Cell(spec=spec, failure=Failure(kind="not applicable", reason=answer.message))
    except HarnessError as error:
        return _failed(job, error, error.message)
    except BaseException as error:  # a method is foreign code, and may even call sys.exit
        if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            raise  # Ctrl-C; in workers that is ignored, and the method itself has raised this
        return _failed(job, error, f"{spec.method.name} raised {type(error).__name__}: {one_line(error)[:300]}")
    data = provider.domains[spec.domain]
    cost = Cost(
        fit_seconds=found.fit_seconds,
        score_seconds=found.score_seconds,
        trainable=found.trainable,
        peak_host_bytes=host,
        peak_gpu_bytes=gpu,
    )
    return Cell(
        spec=spec,
        metrics=found.metrics,
        per_class=found.per_class,
        not_applicable=found.not_applicable,
        images=found.images,
        outcome=found.outcome,
        remarks=tuple(found.remarks),
        unreadable=tuple(sorted(found.unreadable)),
        copies=count_copies(spec.method, data.sheet, job.manifest, found.unreadable),
        left_out=data.sheet.left_out,
        collisions=provider.collisions(spec.domain, template),
        revision=data.revision,
        predictions=digest(content),
        cost=cost,
        predictions_content=content,
    )


def _failed(job: Job, error: BaseException, reason: str) -> Cell:
    """The cell of a method that failed: why, and where in the code of its own package."""
    where = error_location(error, type(job.method).__module__)
    failure = Failure(kind="error", reason=f"{reason} ({where})" if where else reason)
    trace = "".join(traceback.format_exception(error))
    return Cell(spec=job.spec, failure=failure, trace=f"{job.spec.method.name} failed\n{trace}")


def name_images(job: Job, method: Method, template: Template, provider: FeatureProvider) -> CellScores:
    """Fit a method to the names of a side or of both, and judge the names that it gives the test images of both sides.

    Raises:
        FixedVocabulary: the method cannot even score the OOP names.
        MethodError: it breaks its contract.
    """
    spec, name = job.spec, job.spec.method.name
    data, scored = provider.domains[spec.domain], provider.scored(spec.domain)
    task, lost = build_task(spec, job.manifest, method, template, provider, job.train_on)
    synchronize(provider.device)
    begin = time.perf_counter()
    fitted = method.fit(task)
    synchronize(provider.device)
    fitted_at = time.perf_counter()
    if fitted is not method:
        raise MethodError(f"{name}.fit returned {type(fitted).__name__}; fit must return self")
    names = {side: split.names for side, split in data.scored.items()}
    outcome, trainable, remarks = report_of(method, name)
    of_pool, clusters = _discovered(spec, method, provider)
    before = reference(task, scored, names)
    answers = predict_all(method, name, scored, names, data.hint)
    label = {side: features.label.cpu().numpy() for side, features in scored.items()}
    metrics, per_class = judge(answers.predicted, label, {side: len(n) for side, n in names.items()}, before)
    return CellScores(
        metrics=metrics | of_pool,
        kept={
            **answers.predicted,
            **({"reference": before} if before is not None and "ip" in answers.predicted else {}),
            **clusters,
        },
        images={side: len(features.label) for side, features in scored.items()},
        unreadable={path for features in scored.values() for path in features.unreadable} | set(lost),
        outcome=outcome,
        fit_seconds=fitted_at - begin,
        score_seconds=time.perf_counter() - fitted_at,
        trainable=trainable,
        per_class=per_class,
        not_applicable=answers.not_applicable,
        remarks=remarks,
    )


def _discovered(spec: Spec, method: Method, provider: FeatureProvider) -> tuple[dict[str, float], dict[str, Columns]]:
    """What the clusters are worth that a method found in its pool, and the clusters; it saw none of these labels."""
    found = method.discovery()
    if found is None:
        return {}, {}
    name = spec.method.name
    if not method.needs.unlabeled:
        raise MethodError(f"{name} reports clusters of a pool that it did not declare as a need")
    label = provider.pool(spec.domain, method.pool).label.cpu().numpy()
    cluster, names = (each.cpu().numpy().astype(np.int64) for each in (found.cluster, found.name))
    known = len(provider.domains[spec.domain].oop["test"].names)
    if len(names) and not -1 <= names.min() <= names.max() < known:
        raise MethodError(f"{name}.discovery: names are 0 to {known - 1}, or -1 for a cluster without one")
    try:
        metrics = judge_discovery(cluster, names, label)
    except (ValueError, IndexError) as error:
        raise MethodError(f"{name}.discovery: {error}", "one cluster per image of task.unlabeled") from None
    return metrics, {"pool_cluster": cluster, "cluster_name": names}
