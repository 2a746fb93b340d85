"""The part of a grid that one shard computes: whole domains first, so that few shards need the same features.

Cells are in a line: domain after domain, and within a domain by key, which mixes methods of different cost. Every shard
has an equally long piece of it. So it reads only domains that lie in its piece, and shards agree without talking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.execution.shards import Shard
from harness.runner.job import Job


def domains_of_shard(names: Sequence[str], shard: Shard | None) -> list[str]:
    """The domains of a run that a shard needs."""
    if shard is None:
        return list(names)
    return [name for position, name in enumerate(names) if shard.overlaps(position, len(names))]


def jobs_of_shard(jobs: Iterable[Job], names: Sequence[str], shard: Shard | None) -> tuple[Job, ...]:
    """The cells that a shard computes.

    Args:
        jobs: of the domains that the shard needs.
        names: of all domains of the run, each with as many cells as any other.
        shard: which; None is all of them.
    """
    if shard is None:
        return tuple(jobs)
    by_domain: dict[str, list[Job]] = {}
    for job in jobs:
        by_domain.setdefault(job.spec.domain, []).append(job)
    return tuple(
        job
        for domain, own in by_domain.items()
        for rank, job in enumerate(sorted(own, key=lambda job: job.spec.key))
        if shard.has(names.index(domain) * len(own) + rank, len(names) * len(own))
    )
