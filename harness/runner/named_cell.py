"""Cells that are scored by names: a method predicts the name of every test image, on both sides."""

from __future__ import annotations

import time

import numpy as np

from harness.errors import MethodError
from harness.metrics.clusters import require_clusters
from harness.metrics.compute import accuracy_per_class, compute_metrics
from harness.metrics.prediction_kinds import Columns
from harness.metrics.table import metrics_of
from harness.prompts import Template
from harness.runner.build_task import build_task
from harness.runner.cell_scores import CellScores
from harness.runner.feature_provider import FeatureProvider
from harness.runner.fit import fit, report_of
from harness.runner.job import Job
from harness.runner.predict import predict_all, reference


def name_images(job: Job, template: Template, provider: FeatureProvider) -> CellScores:
    """Fit the job's method to the names of a side or of both, and score its predictions for both sides' test images.

    Raises:
        FixedVocabulary: the method cannot even score the OOP names.
        MethodError: it breaks its contract.
    """
    method, name = job.method, job.spec.method.name
    data, scored = provider.domains[job.spec.domain], provider.scored(job.spec.domain)
    task, unreadable = build_task(job, template, provider)
    fit_seconds = fit(method, name, task, provider.device)
    begin = time.perf_counter()
    names = {side: split.names for side, split in data.scored.items()}
    report = report_of(method, name)
    clusters, labels = _discovered(job, provider)
    before = reference(task, scored, names)
    answers = predict_all(method, name, scored, names, data.hint)
    predictions = answers.predicted | clusters
    if before is not None and "ip" in predictions:
        predictions["reference"] = before
    labels |= {side: features.label.cpu().numpy() for side, features in scored.items()}
    counts = {side: len(own) for side, own in names.items()}
    remarks = list(report.remarks)
    return CellScores(
        metrics=compute_metrics(predictions, labels, counts, metrics_of(job.spec.versions), remarks.append),
        predictions=predictions,
        images={side: len(features.label) for side, features in scored.items()},
        unreadable=frozenset(unreadable).union(*(features.unreadable for features in scored.values())),
        outcome=report.outcome,
        remarks=tuple(remarks),
        fit_seconds=fit_seconds,
        score_seconds=time.perf_counter() - begin,
        trainable=report.trainable,
        per_class=accuracy_per_class(predictions, labels, counts),
        not_applicable=answers.not_applicable,
    )


def _discovered(job: Job, provider: FeatureProvider) -> tuple[dict[str, Columns], dict[str, Columns]]:
    """The clusters that a method found in its pool and their names, and the pool's labels, which it never saw."""
    method, name = job.method, job.spec.method.name
    found = method.discovery()
    if found is None:
        return {}, {}
    if not method.needs.unlabeled:
        raise MethodError(f"{name} reports clusters of a pool that it did not declare as a need")
    label = provider.pool(job.spec.domain, method.pool).label.cpu().numpy()
    cluster, names = (each.cpu().numpy().astype(np.int64) for each in (found.cluster, found.name))
    known = len(provider.domains[job.spec.domain].oop["test"].names)
    if len(names) and not -1 <= names.min() <= names.max() < known:
        raise MethodError(f"{name}.discovery: names are 0 to {known - 1}, or -1 for a cluster without one")
    try:
        require_clusters(cluster, names, label)
    except ValueError as error:
        raise MethodError(f"{name}.discovery: {error}", "one cluster per image of task.unlabeled") from None
    return {"pool_cluster": cluster, "cluster_name": names}, {"pool": label}
