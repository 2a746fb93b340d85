"""How long cells will take and what memory they need, by the costs of cells that were computed before."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from harness.results.store import ResultStore
from harness.runner.job import Job
from harness.types.cell import Cost, Spec

MOST_CELLS = 5000
"""Cells of a results folder that are read at most; their keys are hashes, so they are a random sample."""


@dataclass
class Estimate:
    """Expected cost of the cells of a run, all of them together.

    Attributes:
        cells: cells of which there is an expectation.
        of: finished cells that it is drawn from.
        low: seconds, if every cell takes as long as the fastest of its like.
        expected: seconds, if every cell takes the mean of its like.
        high: seconds, if every cell takes as long as the slowest of its like.
        host_bytes: peak memory of the largest cell; None if it is not known.
        gpu_bytes: peak memory on a GPU of the largest cell.
        unknown: method -> cells of which there is no expectation.
    """

    cells: int = 0
    of: int = 0
    low: float = 0.0
    expected: float = 0.0
    high: float = 0.0
    host_bytes: int | None = None
    gpu_bytes: int | None = None
    unknown: Counter[str] = field(default_factory=Counter)


def estimate(jobs: Sequence[Job], store: ResultStore) -> Estimate:
    """The expected cost of cells, by those in a results folder.

    Cells are alike that share method and device, and, as far as there are such, backbone, shots and domain.

    Args:
        jobs: the cells to run.
        store: the results folder.

    Raises:
        StorageError: it cannot be read.
    """
    found = Estimate()
    costs: defaultdict[tuple[object, ...], list[Cost]] = defaultdict(list)
    for cell in islice(store.cells(), MOST_CELLS):
        if cell.cost is not None:
            found.of += 1
            for likeness in _likenesses(cell.spec):
                costs[likeness].append(cell.cost)
    for job in jobs:
        alike = next((costs[likeness] for likeness in _likenesses(job.spec) if likeness in costs), [])
        _add(found, job.spec.method.name, alike)
    return found


def _likenesses(spec: Spec) -> Iterator[tuple[object, ...]]:
    """What cells that are alike share, from the most alike to the least."""
    kind = (spec.method.name, spec.device)
    backbone = (*kind, spec.backbone.architecture)
    yield (*backbone, spec.shots, spec.domain)
    yield (*backbone, spec.shots)
    yield backbone
    yield kind


def _add(found: Estimate, method: str, costs: Sequence[Cost]) -> None:
    if not costs:
        found.unknown[method] += 1
        return
    seconds = [cost.fit_seconds + cost.score_seconds for cost in costs]
    found.cells += 1
    found.low += min(seconds)
    found.expected += sum(seconds) / len(seconds)
    found.high += max(seconds)
    found.host_bytes = _largest([found.host_bytes, *(cost.peak_host_bytes for cost in costs)])
    found.gpu_bytes = _largest([found.gpu_bytes, *(cost.peak_gpu_bytes for cost in costs)])


def _largest(sizes: Iterable[int | None]) -> int | None:
    return max((size for size in sizes if size is not None), default=None)
