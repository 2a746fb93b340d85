"""What jobs need of the feature cache, by kind of features: rows and bytes, and what the backbone cannot give."""

from __future__ import annotations

from collections.abc import Iterable

from harness.errors import BackboneError
from harness.feature_cache.kinds import KINDS
from harness.feature_cache.views import View
from harness.feature_cache.workload import Workload, measure_workload
from harness.runner.feature_provider import FeatureProvider
from harness.runner.job import Job


def workloads(provider: FeatureProvider, jobs: Iterable[Job]) -> list[Workload]:
    """The rows of every kind that jobs need, and how many of them are missing; none is read.

    Args:
        provider: of the features.
        jobs: none that is refused.

    Raises:
        StorageError: the cache cannot be read.
        BackboneError: a second encoder cannot be loaded.
    """
    wanted: dict[str, list[tuple[View, set[str]]]] = {}
    for view, sources in provider.wanted(jobs):
        wanted.setdefault(view.kind, []).append((view, {source.sha256 for source in sources}))
    encoders = {kind: provider.encoder_of(kind) for kind in wanted}
    return [measure_workload(encoders[kind].extractor, encoders[kind].store, of) for kind, of in wanted.items()]


def lacking(provider: FeatureProvider, job: Job) -> str | None:
    """Why the backbone cannot give what a job needs of its images, such as the patch tokens of a ResNet, or None."""
    for kind in filter(KINDS.__contains__, job.method.kinds):
        try:
            provider.encoder_of(kind)
        except BackboneError as error:
            return f"{job.spec.method.name} needs {kind}: {error.message}"
    return None
