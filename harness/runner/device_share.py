"""How many cells run on a GPU at the same time, by the memory that cells were measured to use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from harness.device import memory_of
from harness.runner.job import Job

CONTEXT_BYTES = 600 * 2**20
"""What a process uses of a GPU's memory before it computes: context and libraries."""

MARGIN = 1.25
"""Memory of the largest cell, as torch's allocator holds it: it reserves more than it gives out."""

USED = 0.9
"""Part of a GPU's memory that cells share."""

MOST = 16
"""Cells on one GPU at most: each process also needs a core that launches its kernels."""


def first_wave(jobs: Sequence[Job]) -> list[Job]:
    """The jobs that are measured, one for each GPU at a time: of every method the one with the most shots."""
    largest: dict[str, Job] = {}
    for job in jobs:
        known = largest.get(job.spec.method.name)
        if known is None or job.spec.shots > known.spec.shots:
            largest[job.spec.method.name] = job
    return list(largest.values())


def cells_per_device(peaks: Iterable[int | None], devices: Sequence[str]) -> int:
    """How many cells of a run fit on each GPU.

    Args:
        peaks: bytes of GPU memory that cells of every method used; None if it is not known.
        devices: of the run.
    """
    measured = [peak for peak in peaks if peak]
    if not measured:
        return 1
    each = MARGIN * max(measured) + CONTEXT_BYTES
    room = USED * min(map(memory_of, devices))
    cores = (os.cpu_count() or 1) // len(devices)
    return max(1, min(int(room / each), MOST, cores))
