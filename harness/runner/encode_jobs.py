"""Encode images with an executor: divided by image among processes, devices and nodes, and cached by this process.

Rows do not depend on the division: every image is preprocessed alone, and every batch has the same size. What nodes do
not encode, such as when one is lost, is left missing, and ``FeatureProvider.encode`` comes to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from harness.execution.executors import Executor
from harness.execution.jobs import JobFailure, Limits
from harness.execution.messages import LARGEST
from harness.feature_cache.image_encoder import EncodedImages, ImageEncoder, ImageSource
from harness.feature_cache.views import View
from harness.progress import Reporter
from harness.runner.feature_provider import FeatureProvider, provider_of
from harness.runner.job import Job
from harness.runner.node import on_this_machine
from harness.runner.plan import Plan
from harness.types.labels import UNREADABLE

CHUNK = 512
"""Images of a job at most: some full batches."""

THREADS = 8
"""Threads that decode for a GPU."""


@dataclass(frozen=True)
class EncodeJob:
    """Images to encode in one view."""

    view: View
    sources: tuple[ImageSource, ...]


class EncodeWorker:
    """Encodes images in its process, and caches nothing.

    Args:
        plan: without domains.
        device: to compute on.
    """

    def __init__(self, plan: Plan, device: str) -> None:
        self._root = plan.root
        self._provider = provider_of(replace(plan, devices=(device,)), 1)
        self._threads = 1 if device == "cpu" else THREADS

    def __call__(self, job: EncodeJob) -> bytes:
        """The images as ``EncodedImages``."""
        assert self._root is not None, "images come from a folder"
        extractor = self._provider.encoder_of(job.view.kind).extractor
        sources = [replace(source, file=on_this_machine(Path(source.file), self._root)) for source in job.sources]
        return ImageEncoder(extractor, self._threads).encode(sources, job.view.number, job.view.crop).to_bytes()


def encode_with(
    executor: Executor, limits: Limits, provider: FeatureProvider, plan: Plan, jobs: Sequence[Job], report: Reporter
) -> None:
    """Encode the images that jobs need and that are not cached yet, with progress.

    Args:
        executor: runs the processes.
        limits: how many, and on which devices.
        provider: has the cache.
        plan: of the run.
        jobs: the cells.
        report: shows progress, and notes why images were not encoded.

    Raises:
        StorageError: the cache cannot be written.
    """
    work = list(_divide(provider, jobs))
    if not work:
        return
    make_worker = partial(EncodeWorker, replace(plan, jobs=(), domains={}))
    done, failures = _Shards(provider), dict[str, None]()
    with report.stage("encoding images", sum(len(job.sources) for job in work), "images") as advance:
        for result in executor(work, make_worker, replace(limits, sandbox=None, isolated=False)):
            job = work[result.number]
            if isinstance(result.value, JobFailure):
                failures[result.value.reason] = None
            else:
                done.add(job, result.value)
            advance(len(job.sources))
    done.put_all()
    for reason in failures:
        report.note(f"a process that encodes images {reason}; its images are encoded on this machine")


def _divide(provider: FeatureProvider, jobs: Sequence[Job]) -> Iterator[EncodeJob]:
    for view, sources in provider.missing(jobs).items():
        readable = list({source.sha256: source for source in sources if source.sha256 != UNREADABLE}.values())
        size = max(1, min(CHUNK, LARGEST // 2 // provider.encoder_of(view.kind).extractor.row_bytes))
        for start in range(0, len(readable), size):
            yield EncodeJob(view, tuple(readable[start : start + size]))


class _Shards:
    """Rows that arrive in any order, written to the cache as shards of its usual size."""

    def __init__(self, provider: FeatureProvider) -> None:
        self._provider = provider
        self._waiting: dict[View, list[EncodedImages]] = {}

    def add(self, job: EncodeJob, content: bytes) -> None:
        waiting = self._waiting.setdefault(job.view, [])
        waiting.append(EncodedImages.from_bytes(content))
        if sum(len(one.digests) for one in waiting) >= self._provider.encoder_of(job.view.kind).extractor.shard_images:
            self._put(job.view)

    def put_all(self) -> None:
        for view in list(self._waiting):
            self._put(view)

    def _put(self, view: View) -> None:
        found = self._waiting.pop(view)
        digests = [digest for one in found for digest in one.digests]
        failed = {sha256: why for one in found for sha256, why in one.failed.items()}
        encoder = self._provider.encoder_of(view.kind)
        encoder.store.prepare()
        encoder.add(EncodedImages(digests, np.concatenate([one.rows for one in found]), failed), view.number, view.crop)
