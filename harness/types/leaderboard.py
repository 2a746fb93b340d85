"""Rows over cells, as they are written: versioned JSON that is byte-identical for the same cells."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.types.cell import BackboneRecord, MethodRecord, Record

SCHEMA_VERSION: Literal[1] = 1


class Stat(Record):
    """Mean and sample standard deviation over n seeds, as fractions."""

    mean: float
    std: float
    n: int


class DomainData(Record):
    """What a domain's numbers rest on: the data by content, and the few-shot draw of each seed."""

    folders: tuple[str, ...]
    fingerprint: str
    manifests: dict[str, str | None] = Field(description="seed -> hash of the manifest")
    images: dict[str, int]
    unreadable: tuple[str, ...]


class RowFailure(Record):
    """A hole in a row."""

    domain: str
    seed: int | None
    kind: Literal["error", "not applicable", "missing"]
    reason: str


class Row(Record):
    """One method in one setting.

    ``mean`` is over the domains (first over domains for each seed, then over seeds). It is empty when a domain or
    seed is missing or failed: an incomplete row is never averaged.
    """

    method: str
    protocol: str
    dataset: str
    backbone: str
    shots: int
    seeds: tuple[int, ...]
    complete: bool
    domains: dict[str, dict[str, Stat]]
    mean: dict[str, Stat]
    failures: tuple[RowFailure, ...]
    per_class: dict[str, dict[str, tuple[float | None, ...]]] = Field(
        description="domain -> side -> mean over seeds of every class's accuracy, in the order of the names"
    )
    not_applicable: str | None = Field(description="why only the OOP names were scored, for a fixed vocabulary")
    oop_exact: str
    device: str
    versions: dict[str, str]
    method_record: MethodRecord
    backbone_record: BackboneRecord
    data: dict[str, DomainData]


class Leaderboard(Record):
    """A leaderboard file."""

    schema_version: Literal[1] = SCHEMA_VERSION
    rows: tuple[Row, ...]

    def text(self) -> str:
        """The file's content: the same rows give the same bytes."""
        return self.model_dump_json(indent=1) + "\n"


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of a leaderboard file."""
    return Leaderboard.model_json_schema(mode="serialization")
