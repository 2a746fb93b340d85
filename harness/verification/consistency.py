"""Verify that the parts of a row's setting do not contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from harness.types.cell import NO_SEED
from harness.types.leaderboard import Row


def contradictions(row: Row) -> Iterator[str]:
    """Each part of a row's setting that contradicts another."""
    record = row.method_record
    if (record.pool is not None) != ("unlabeled" in record.needs):
        needs = ", ".join(record.needs) or "nothing"
        yield f"method_record.pool: the file says {record.pool}, but the method needs {needs}"
    elif record.pool is not None and (given := record.parameters.get("pool", record.pool)) != record.pool:
        yield f"method_record.pool: the file says {record.pool}, its parameters say {given}"
    if row.seedless and (seeds := {*row.seeds} - {NO_SEED}):
        yield f"seeds: the file says {', '.join(map(str, sorted(seeds)))}, but the method depends on none"
    for domain, data in row.data.items():
        if data.left_out and not row.copies_left_out:
            yield f"copies_left_out: the file says no, but {data.left_out} images of {domain} are left out"
        for seed, digest in data.manifests.items():
            if (digest is None) != (row.shots == 0):
                drawn = "no draw" if digest is None else "a draw"
                yield f"data.{domain}.manifests.{seed}: there is {drawn}, but shots is {row.shots}"
