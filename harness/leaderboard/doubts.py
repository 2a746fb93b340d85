"""What a reader of rows should know of their data: in words, for the end of a run and for tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.types.leaderboard import DomainData, Row


def doubts(rows: Iterable[Row]) -> list[str]:
    """A sentence for each thing about the data that makes figures less than they seem, once."""
    return list(dict.fromkeys(what for row in rows for domain, data in row.data.items() for what in _of(domain, data)))


def _of(domain: str, data: DomainData) -> Iterator[str]:
    for group in data.collisions:
        yield f"{domain}: {', '.join(group)} are one text to the tokenizer: no prompt can tell their images apart"
