"""Cells that are scored by clusters: of each side's images (Table 1), or of both sides' images mixed."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from harness.errors import MethodError, NotApplicable
from harness.method import Method
from harness.metrics.compute import compute_metrics
from harness.metrics.prediction_kinds import cluster_key
from harness.metrics.table import metrics_of
from harness.prompts import Template
from harness.runner.build_task import blank_task
from harness.runner.cell_scores import CellScores
from harness.runner.feature_provider import FeatureProvider
from harness.runner.fit import FitReport, fit, report_of
from harness.runner.job import Job
from harness.types.task import Support, Task

GIVEN = frozenset({"unlabeled", "clusters", "vocabulary"})
"""What a method may need here: the images, and the number and names of their classes."""

KNOWN = frozenset({"ip"})
"""What it may also need if sides are mixed: images of the known classes."""

Sides = tuple[str, ...]


@dataclass(frozen=True)
class _Clusters:
    """Clusters of the images of some sides, found together: side -> ``(n,)`` clusters, with their cost."""

    cluster: dict[str, NDArray[np.int64]]
    report: FitReport
    fit_seconds: float
    score_seconds: float


def cluster_images(job: Job, template: Template, provider: FeatureProvider) -> CellScores:
    """Let the job's method cluster the scored images, each side's on its own or both sides' mixed, and score clusters.

    Raises:
        NotApplicable: the method needs more than it is given, or finds no clusters; or there is no side to mix with.
        MethodError: its clusters are not of these images.
    """
    mixed = job.scoring == "mixed clusters"
    _require_fitting(job.method, job.spec.method.name, GIVEN | KNOWN if mixed else GIVEN)
    scored = provider.scored(job.spec.domain)
    if mixed and "ip" not in scored:
        raise NotApplicable("the data have no IP images to mix with the OOP images")
    groups: list[Sides] = [tuple(scored)] if mixed else [(side,) for side in scored]
    found = {"+".join(sides): _cluster_together(sides, job, template, provider) for sides in groups}
    clusters = {side: cluster for one in found.values() for side, cluster in one.cluster.items()}
    labels = {side: features.label.cpu().numpy() for side, features in scored.items()}
    names = {side: len(split.names) for side, split in provider.domains[job.spec.domain].scored.items()}
    predictions = {cluster_key(side, mixed): cluster for side, cluster in clusters.items()}
    remarks = [remark for one in found.values() for remark in one.report.remarks]
    return CellScores(
        metrics=compute_metrics(predictions, labels, names, metrics_of(job.spec.versions), remarks.append),
        predictions=predictions,
        images={side: len(label) for side, label in labels.items()},
        unreadable=frozenset(path for features in scored.values() for path in features.unreadable),
        outcome={sides: one.report.outcome for sides, one in found.items()},
        remarks=tuple(remarks),
        fit_seconds=sum(one.fit_seconds for one in found.values()),
        score_seconds=sum(one.score_seconds for one in found.values()),
        trainable=sum(one.report.trainable for one in found.values()),
    )


def _require_fitting(method: Method, name: str, given: frozenset[str]) -> None:
    if more := sorted({*method.needs.declared()} - given):
        gives = "unlabeled images and their classes" + (", and known IP images" if "ip" in given else "")
        raise NotApplicable(f"{name} needs {', '.join(more)}; the protocol gives {gives}")
    if not method.needs.unlabeled:
        raise NotApplicable(f"{name} sees no images; the protocol asks for clusters of them")


def _cluster_together(sides: Sides, job: Job, template: Template, provider: FeatureProvider) -> _Clusters:
    """The clusters of the images of some sides, found together."""
    name, scored = job.spec.method.name, provider.scored(job.spec.domain)
    sha256 = [digest for side in sides for digest in scored[side].sha256]
    order = sorted(range(len(sha256)), key=sha256.__getitem__)  # depends neither on the class nor on the side
    image = torch.cat([scored[side].image[:, 0] for side in sides])[order]
    method = deepcopy(job.method)  # what it learns from one side must not reach the other
    fit_seconds = fit(method, name, _task(sides, job, template, provider, image), provider.device)
    begin = time.perf_counter()
    found = method.discovery()
    if found is None:
        raise NotApplicable(f"{name} reports no clusters", "return them from Method.discovery")
    cluster = np.full(len(order), -1, dtype=np.int64)
    answered = found.cluster.cpu().numpy()
    if answered.shape != cluster.shape or answered.min() < 0:
        raise MethodError(f"{name}.discovery must give every one of {len(order)} images a cluster")
    cluster[order] = answered
    report = report_of(method, name)
    ends = np.cumsum([len(scored[side].sha256) for side in sides])
    of_side = dict(zip(sides, np.split(cluster, ends[:-1]), strict=True))
    return _Clusters(of_side, report, fit_seconds, time.perf_counter() - begin)


def _task(sides: Sides, job: Job, template: Template, provider: FeatureProvider, image: torch.Tensor) -> Task:
    """What the method may see of some sides: the images ``(n, d)`` without labels, and what else it needs."""
    spec, needs = job.spec, job.method.needs
    data = provider.domains[spec.domain]
    splits = [data.scored[side] for side in sides]
    names = tuple(dict.fromkeys(name for split in splits for name in split.names))
    wanted = names if needs.includes("vocabulary") else None
    task = blank_task(f"{spec.domain}/{'+'.join(sides)}/{spec.seed}", wanted, data.hint, template, provider)
    task = replace(task, _unlabeled=image.clone())
    if needs.ip:
        known = provider.pool(spec.domain, "ip")
        task = replace(task, _ip=Support(known.image.clone(), known.label.clone()))
    if needs.clusters:
        task = replace(task, _clusters=sum(len({item.label for item in split.items}) for split in splits))
    return task
