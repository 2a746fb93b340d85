"""Warnings about the data of rows, for the end of a run and for tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.registry import OWN
from harness.registry.local import NOT_INSTALLED
from harness.types.leaderboard import DomainRecord, Row

NAMED = 3
"""Rows that a sentence names; it counts the others."""


def data_warnings(rows: Iterable[Row]) -> list[str]:
    """A sentence for each property of the data that limits what the results mean, once."""
    rows = list(rows)
    found = [what for row in rows for domain, data in row.data.items() for what in _of(domain, data)]
    return list(dict.fromkeys([*found, *_foreign(rows), *_copies(rows), *_local(rows), *_unprotected(rows)]))


def _local(rows: Iterable[Row]) -> Iterator[str]:
    """Methods that cannot be installed."""
    for row in rows:
        if row.method_record.distribution == NOT_INSTALLED:
            yield f"{row.method} is a class of a script or notebook: its rows cannot be reproduced from a package"


def _unprotected(rows: Iterable[Row]) -> Iterator[str]:
    """Methods of other distributions that ran where nothing kept them from reading labels."""
    for row in rows:
        held = {isolation for data in row.data.values() for isolation in data.isolation}
        foreign = row.method_record.distribution not in (OWN, NOT_INSTALLED)
        if foreign and not all(isolation.startswith("landlock") for isolation in held):
            hint = "`harness doctor` says what the machine lacks"
            yield f"{row.method} ({row.id}) ran where nothing kept it from reading the labels on disk; {hint}"


def _foreign(rows: Iterable[Row]) -> Iterator[str]:
    """Rows whose image features another user encoded."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for origin in sorted({origin for data in row.data.values() for origin in data.features_from}):
            found.setdefault(origin, []).append(f"{row.method} ({row.id})")
    for origin, names in found.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        check = "`harness leaderboard verify --features` encodes a sample again"
        yield f"image features come from {origin}: those of {', '.join(names[:NAMED])}{more}; {check}"


def _of(domain: str, data: DomainRecord) -> Iterator[str]:
    if data.left_out:
        yield f"{domain}: copies of train or val images are left out, {data.left_out} in all"
    for group in data.collisions:
        yield f"{domain}: {', '.join(group)} are one text to the tokenizer: no prompt can distinguish their images"


def _copies(rows: Iterable[Row]) -> Iterator[str]:
    """For each domain the largest number of scored images that a method was also given to fit."""
    most: dict[str, tuple[int, str]] = {}
    for row in rows:
        for domain, data in row.data.items():
            for count in data.copies.values():
                most[domain] = max(most.get(domain, (0, "")), (count, row.method))
    for domain, (count, method) in sorted(most.items()):
        what = "image is a byte copy" if count == 1 else "images are byte copies"
        yield f"{domain}: {count} scored {what} of what {method} was given to fit; --leave-out-copies leaves such out"
