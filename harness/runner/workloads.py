"""What jobs need of the feature cache, by kind of features: rows, bytes, and whether there is room."""

from __future__ import annotations

from collections.abc import Iterable

from harness.features.workload import Workload, measure_workload
from harness.runner.feature_provider import FeatureProvider
from harness.runner.job import Job


def workloads(provider: FeatureProvider, jobs: Iterable[Job]) -> list[Workload]:
    """The rows of every kind that jobs need, and how many of them are missing; none is read.

    Raises:
        StorageError: the cache cannot be read.
        BackboneError: the model has no such kind of features.
    """
    wanted: dict[str, list[tuple[tuple[int, float], set[str]]]] = {}
    for view, sources in provider.wanted(jobs):
        digests = {source.sha256 for source in sources}
        wanted.setdefault(view.kind, []).append(((view.number, view.crop), digests))
    encoders = {kind: provider.encoder_of(kind) for kind in wanted}
    return [measure_workload(encoders[kind].extractor, encoders[kind].store, of) for kind, of in wanted.items()]
