"""Encode images with an executor: divided by image among processes, devices and nodes, and cached by this process.

Rows do not depend on the division: every image is preprocessed alone, and every batch has the same size. What nodes do
not encode, such as when one is lost, is left missing, and ``FeatureProvider.encode`` comes to it.

On a CPU, threads of this process do it unless there are more cores than four threads can use and much is to do: a
thread has Python's interpreter lock for a fifth of the time with images of the miniature, and for 2 % with ViT-B-32.
"""

from __future__ import annotations

import math
import time
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

BATCH = 64
"""Images of a job for each thread: a full batch of the smallest ones."""

JOBS = 4
"""Of a process, if there are so many images: then all end at about the same time."""

THREADS = 8
"""Threads that decode for a GPU."""

CPU_THREADS = 4
"""Threads of one of several processes that encode on a CPU."""

LONG_SECONDS = 10.0
"""Work that is divided among processes takes longer in this one: each starts and loads the model first."""


@dataclass(frozen=True)
class EncodeJob:
    """Images to encode in one view."""

    view: View
    sources: tuple[ImageSource, ...]


class EncodeWorker:
    """Encodes images in its process, and caches nothing.

    Args:
        plan: without domains.
        threads: on a CPU.
        device: to compute on.
    """

    def __init__(self, plan: Plan, threads: int, device: str) -> None:
        self._root = plan.root
        self._provider = provider_of(replace(plan, devices=(device,)), 1)
        self._threads = threads if device == "cpu" else THREADS

    def __call__(self, job: EncodeJob) -> bytes:
        """The images as ``EncodedImages``."""
        assert self._root is not None, "images come from a folder"
        extractor = self._provider.encoder_of(job.view.kind).extractor
        sources = [replace(source, file=on_this_machine(Path(source.file), self._root)) for source in job.sources]
        return ImageEncoder(extractor, self._threads).encode(sources, job.view.number, job.view.crop).to_bytes()


def encode_in_processes(
    executor: Executor, workers: int, provider: FeatureProvider, plan: Plan, jobs: Sequence[Job], report: Reporter
) -> None:
    """Encode images on the cores of this machine, if one process could not use them all and much is to do.

    Args:
        executor: runs the processes.
        workers: cores to use.
        provider, plan, jobs, report: as in ``encode_with``.

    Raises:
        StorageError: the cache cannot be written.
    """
    processes = math.ceil(workers / CPU_THREADS)
    if processes > 1 and _takes_long(provider, jobs, report):
        threads = math.ceil(workers / processes)
        encode_with(executor, Limits(processes), provider, plan, jobs, report, threads)


def _takes_long(provider: FeatureProvider, jobs: Sequence[Job], report: Reporter) -> bool:
    """Encode the first missing images; whether this process would encode the others for long, by the time of those."""
    missing = {view: sources for view, sources in provider.missing(jobs).items() if sources}
    total = sum(map(len, missing.values()))
    if total <= CHUNK:
        return False
    view, sources = next(iter(missing.items()))
    first = sources[:CHUNK]
    with report.stage("encoding the first images", len(first), "images") as advance:
        begin = time.perf_counter()
        provider.encoder_of(view.kind).ensure(first, view.number, advance, view.crop)
        seconds = time.perf_counter() - begin
    return seconds * (total - len(first)) / len(first) > LONG_SECONDS


def encode_with(
    executor: Executor,
    limits: Limits,
    provider: FeatureProvider,
    plan: Plan,
    jobs: Sequence[Job],
    report: Reporter,
    threads: int = 1,
) -> None:
    """Encode the images that jobs need and that are not cached yet, with progress.

    Args:
        executor: runs the processes.
        limits: how many, and on which devices.
        provider: has the cache.
        plan: of the run.
        jobs: the cells.
        report: shows progress, and notes why images were not encoded.
        threads: of each process, on a CPU.

    Raises:
        StorageError: the cache cannot be written.
    """
    work = list(_divide(provider, jobs, limits.workers, threads))
    if not work:
        return
    make_worker = partial(EncodeWorker, replace(plan, jobs=(), domains={}), threads)
    done, failures = _Shards(provider), dict[str, None]()
    with report.stage("encoding images", sum(len(job.sources) for job in work), "images") as advance:
        for result in executor(work, make_worker, limits):
            job = work[result.number]
            if isinstance(result.value, JobFailure):
                failures[result.value.reason] = None
            else:
                done.add(job, result.value)
            advance(len(job.sources))
    done.put_all()
    for reason in failures:
        report.note(f"a process that encodes images {reason}; its images are encoded on this machine")


def _divide(provider: FeatureProvider, jobs: Sequence[Job], processes: int, threads: int) -> Iterator[EncodeJob]:
    """The missing images in jobs of full batches, so that every process gets some."""
    least = CHUNK if provider.device.type == "cuda" else BATCH * threads
    for view, sources in provider.missing(jobs).items():
        readable = list({source.sha256: source for source in sources if source.sha256 != UNREADABLE}.values())
        share = least * math.ceil(len(readable) / (JOBS * processes * least))
        size = max(1, min(CHUNK, share, LARGEST // 2 // provider.encoder_of(view.kind).extractor.row_bytes))
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
