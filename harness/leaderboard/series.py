"""Group rows that differ only in their shots into series, each with a label that is unique in its setting."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.leaderboard.row_settings import setting
from harness.progress import pluralize
from harness.results.row_facts import differing_facts, row_facts
from harness.types.leaderboard import Row


@dataclass(frozen=True)
class Series:
    """One method in one setting, at every number of shots it was run with.

    Attributes:
        label: the method, with what differs from other series of the same method.
        rows: its rows by shots, ascending; a method without few-shot images has one, at 0.
    """

    label: str
    rows: tuple[Row, ...]

    @property
    def needs_shots(self) -> bool:
        """Whether the method uses few-shot images at all."""
        return any(row.shots for row in self.rows)


def series(rows: Iterable[Row]) -> list[Series]:
    """The series of some rows, sorted by label."""
    lines: dict[str, list[Row]] = {}
    for row in rows:
        key = _identity(row)
        while any(other.shots == row.shots or not _same_images(row, other) for other in lines.get(key, ())):
            key += "'"  # the same setting twice: its data were changed in between
        lines.setdefault(key, []).append(row)
    groups = [sorted(lines[key], key=lambda row: row.shots) for key in sorted(lines)]
    labels = _labels([group[0] for group in groups])
    made = [Series(label, tuple(group)) for label, group in zip(labels, groups, strict=True)]
    return sorted(made, key=lambda s: s.label)


def row_labels(rows: Iterable[Row]) -> dict[str, str]:
    """Row id -> the label of its series: the method, with what differs where a setting has it several times."""
    return {row.id: one.label for one in series(rows) for row in one.rows}


def row_title(row: Row, labels: Mapping[str, str]) -> str:
    """The label of a row's series with its number of shots."""
    return labels[row.id] + (f", {pluralize(row.shots, 'shots')}" if row.shots else "")


def _identity(row: Row) -> str:
    content = [row.protocol, row.dataset, row.backbone_record.model_dump(), row.method_record.model_dump()]
    return json.dumps([*content, row.device, row.versions], sort_keys=True)


def _same_images(row: Row, other: Row) -> bool:
    return all(
        row.data[domain].fingerprint == other.data[domain].fingerprint for domain in row.data if domain in other.data
    )


def _labels(rows: Sequence[Row]) -> list[str]:
    """The method's name, with what differs (or a number) where a setting has it twice."""
    facts = [row_facts(row) for row in rows]
    same: dict[tuple[str, ...], list[dict[str, object]]] = {}
    keys = [(*setting(row), row.method) for row in rows]
    for key, own in zip(keys, facts, strict=True):
        same.setdefault(key, []).append(own)
    labels = []
    for row, key, own in zip(rows, keys, facts, strict=True):
        extra = differing_facts(own, same[key])
        labels.append(f"{row.method} ({extra})" if extra else row.method)
    named: dict[tuple[object, ...], list[int]] = {}
    for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
        named.setdefault((*setting(row), row.method, label), []).append(place)
    for places in named.values():
        if len(places) > 1:
            for number, place in enumerate(places, start=1):
                labels[place] += f" #{number}"
    return labels
