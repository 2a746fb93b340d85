"""A cell of the protocol ``clustering``: how well the test images of each side cluster, names left aside (Table 1)."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import replace

import numpy as np

from harness.device import wait
from harness.errors import MethodError, NotApplicable
from harness.method import Method
from harness.metrics import judge_clusters
from harness.prompts import Template
from harness.runner.judged import Judged, plain, whole
from harness.runner.posing import blank_task
from harness.runner.workbench import Workbench
from harness.types.cell import Spec

GIVEN = frozenset({"unlabeled", "clusters", "vocabulary"})
"""What a method may need here: the images, and of how many and which classes they are."""


def cluster_images(spec: Spec, method: Method, template: Template, bench: Workbench) -> Judged:
    """Let a method cluster the test images of the OOP and of the IP side, each on its own, and judge its clusters.

    Raises:
        NotApplicable: the method needs more than the images, or finds no clusters.
        MethodError: its clusters are not of these images.
    """
    name, data = spec.method.name, bench.domains[spec.domain]
    if more := sorted({*method.needs.labels()} - GIVEN):
        raise NotApplicable(f"{name} needs {', '.join(more)}; the protocol gives unlabeled images and their classes")
    if not method.needs.unlabeled:
        raise NotApplicable(f"{name} sees no images; the protocol asks for clusters of them")
    result = Judged({}, {}, {}, set(), {}, 0.0, 0.0, 0)
    clusters, labels = {}, {}
    for side, features in bench.scored(spec.domain).items():
        split = data.scored[side]
        names = split.names if method.needs.includes("vocabulary") else None
        task = blank_task(f"{spec.domain}/{side}/{spec.seed}", names, data.hint, template, bench)
        task = replace(task, _unlabeled=features.image[:, 0].clone())
        if method.needs.clusters:
            task = replace(task, _clusters=len({item.label for item in split.items}))
        own = deepcopy(method)  # what it learned of one side is no part of the other
        wait(bench.device)
        begin = time.perf_counter()
        if own.fit(task) is not own:
            raise MethodError(f"{name}.fit must return self")
        wait(bench.device)
        result.fit_seconds += time.perf_counter() - begin
        begin = time.perf_counter()
        found = own.discovery()
        if found is None:
            raise NotApplicable(f"{name} reports no clusters", "return them from Method.discovery")
        clusters[side] = found.cluster.cpu().numpy().astype(np.int64)
        labels[side] = features.label.cpu().numpy()
        if clusters[side].shape != labels[side].shape or clusters[side].min() < 0:
            raise MethodError(f"{name}.discovery must give every one of {len(labels[side])} images a cluster")
        result.outcome[side] = plain(own.outcome(), name)
        result.images[side] = len(labels[side])
        result.unreadable |= set(features.unreadable)
        result.trainable += whole(own.trainable(), name)
        result.score_seconds += time.perf_counter() - begin
    result.metrics = judge_clusters(clusters, labels)
    result.kept = {f"{side}_cluster": cluster for side, cluster in clusters.items()}
    return result
