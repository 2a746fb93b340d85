"""A cell that is judged by clusters, names left aside: of each side's images (Table 1), or of both sides' mixed."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from harness.device import synchronize
from harness.errors import MethodError, NotApplicable
from harness.method import Method
from harness.metrics import judge_clusters, judge_mixed_clusters
from harness.prompts import Template
from harness.runner.build_task import blank_task
from harness.runner.cell_scores import CellScores, report_of
from harness.runner.feature_provider import FeatureProvider
from harness.types.cell import Spec
from harness.types.task import Support, Task

GIVEN = frozenset({"unlabeled", "clusters", "vocabulary"})
"""What a method may need here: the images, and of how many and which classes they are."""

KNOWN = frozenset({"ip"})
"""What it may need beside where sides are mixed: images of the classes that are known."""


def cluster_images(
    spec: Spec, method: Method, template: Template, provider: FeatureProvider, mixed: bool
) -> CellScores:
    """Let a method cluster the scored images, and judge its clusters.

    Args:
        spec: the cell.
        method: not fitted.
        template: of prompts.
        provider: serves the images.
        mixed: whether the images of both sides are clustered together; otherwise each side on its own.

    Raises:
        NotApplicable: the method needs more than it is given, or finds no clusters; or there is no side to mix with.
        MethodError: its clusters are not of these images.
    """
    _require_fitting(method, spec.method.name, GIVEN | KNOWN if mixed else GIVEN)
    scored = provider.scored(spec.domain)
    if mixed and "ip" not in scored:
        raise NotApplicable("the data have no IP images to mix with the OOP images")
    result = CellScores({}, {}, {}, set(), {}, 0.0, 0.0, 0)
    clusters: dict[str, NDArray[np.int64]] = {}
    for sides in [tuple(scored)] if mixed else [(side,) for side in scored]:
        clusters |= _of_sides(sides, spec, method, template, provider, result)
    labels = {side: features.label.cpu().numpy() for side, features in scored.items()}
    result.images = {side: len(label) for side, label in labels.items()}
    result.unreadable |= {path for features in scored.values() for path in features.unreadable}
    result.metrics = judge_mixed_clusters(clusters, labels) if mixed else judge_clusters(clusters, labels)
    result.kept = {f"{'joint_' if mixed else ''}{side}_cluster": cluster for side, cluster in clusters.items()}
    return result


def _require_fitting(method: Method, name: str, given: frozenset[str]) -> None:
    if more := sorted({*method.needs.declared()} - given):
        gives = "unlabeled images and their classes" + (", and known IP images" if "ip" in given else "")
        raise NotApplicable(f"{name} needs {', '.join(more)}; the protocol gives {gives}")
    if not method.needs.unlabeled:
        raise NotApplicable(f"{name} sees no images; the protocol asks for clusters of them")


def _of_sides(
    sides: tuple[str, ...],
    spec: Spec,
    method: Method,
    template: Template,
    provider: FeatureProvider,
    result: CellScores,
) -> dict[str, NDArray[np.int64]]:
    """The clusters of the images of some sides, found together; what finding them took is added to the result."""
    name, scored = spec.method.name, provider.scored(spec.domain)
    sha256 = [digest for side in sides for digest in scored[side].sha256]
    order = sorted(range(len(sha256)), key=sha256.__getitem__)  # tells neither the class nor the side
    image = torch.cat([scored[side].image[:, 0] for side in sides])[order]
    task = _build_task(sides, spec, method, template, provider, image)
    own = deepcopy(method)  # what it learned of one side is no part of the other
    synchronize(provider.device)
    begin = time.perf_counter()
    if own.fit(task) is not own:
        raise MethodError(f"{name}.fit must return self")
    synchronize(provider.device)
    fitted = time.perf_counter()
    found = own.discovery()
    if found is None:
        raise NotApplicable(f"{name} reports no clusters", "return them from Method.discovery")
    cluster = np.full(len(order), -1, dtype=np.int64)
    answered = found.cluster.cpu().numpy()
    if answered.shape != cluster.shape or answered.min() < 0:
        raise MethodError(f"{name}.discovery must give every one of {len(order)} images a cluster")
    cluster[order] = answered
    result.outcome["+".join(sides)], learned, remarks = report_of(own, name)
    result.trainable += learned
    result.remarks += remarks
    result.fit_seconds += fitted - begin
    result.score_seconds += time.perf_counter() - fitted
    ends = np.cumsum([len(scored[side].sha256) for side in sides])
    return dict(zip(sides, np.split(cluster, ends[:-1]), strict=True))


def _build_task(
    sides: tuple[str, ...],
    spec: Spec,
    method: Method,
    template: Template,
    provider: FeatureProvider,
    image: torch.Tensor,
) -> Task:
    data = provider.domains[spec.domain]
    splits = [data.scored[side] for side in sides]
    names = tuple(dict.fromkeys(name for split in splits for name in split.names))
    wanted = names if method.needs.includes("vocabulary") else None
    task = blank_task(f"{spec.domain}/{'+'.join(sides)}/{spec.seed}", wanted, data.hint, template, provider)
    task = replace(task, _unlabeled=image.clone())
    if method.needs.ip:
        known = provider.pool(spec.domain, "ip")
        task = replace(task, _ip=Support(known.image.clone(), known.label.clone()))
    if method.needs.clusters:
        task = replace(task, _clusters=sum(len({item.label for item in split.items}) for split in splits))
    return task
