"""What decides a row besides its setting, and the part of it that differs from other rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.types.leaderboard import Row


def row_facts(row: Row) -> dict[str, object]:
    """The method's parameters and version, the precision, the device and the versions of libraries."""
    run = {"precision": row.backbone_record.precision, "version": row.method_record.version, "device": row.device}
    return {**row.method_record.parameters, **run, **row.versions}


def differing_facts(own: Mapping[str, object], others: Iterable[Mapping[str, object]]) -> str:
    """The facts that another one does not have, such as ``lr=0.01, device=cuda``; empty if there are none."""
    others = list(others)
    return ", ".join(f"{fact}={own[fact]}" for fact in own if any(other.get(fact) != own[fact] for other in others))
