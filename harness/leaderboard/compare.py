"""Compare rows: values of the same setting are subtracted; of others, the reason against it is given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.leaderboard.differences import ABSENT, Difference, differences
from harness.leaderboard.published import PublishedRow, PublishedTable
from harness.leaderboard.row_settings import setting, short_hashes
from harness.metrics.accuracy import difference
from harness.metrics.built_in import in_table_order
from harness.parameters import format_value
from harness.types.leaderboard import Leaderboard, Row


@dataclass(frozen=True)
class ComparedRow:
    """One side of a comparison: values, and the settings that decide whether they are comparable.

    Attributes:
        label: its heading in a table.
        method: name of the method.
        shots: images per class, 0 for none.
        setting: what must be the same, by the words of a reason; None where a source does not state it.
        domains: domain -> metric -> fraction.
        mean: metric -> fraction; empty for an incomplete row.
        notes: remarks for the reader.
        run: the seeds and the method's parameters, by the words of a note; empty where a source does not state them.
        other_kind: why the values are not what the metrics' names mean here, None if they are.
    """

    label: str
    method: str
    shots: int
    setting: Mapping[str, Any]
    domains: Mapping[str, Mapping[str, float]]
    mean: Mapping[str, float]
    notes: tuple[str, ...] = ()
    run: Mapping[str, str] = field(default_factory=dict)
    other_kind: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Two entries, and the reasons why they are not comparable (none if they are)."""

    left: ComparedRow
    right: ComparedRow
    reasons: tuple[str, ...]

    @property
    def metrics(self) -> list[str]:
        """Metrics that both sides have in some domain, in the order of tables."""
        return in_table_order(_metrics(self.left) & _metrics(self.right))

    @property
    def domains(self) -> list[str]:
        """Domains of either side."""
        return sorted({*self.left.domains, *self.right.domains})

    @property
    def over(self) -> tuple[int, int]:
        """How many domains the mean of either side is over."""
        return len(self.left.domains), len(self.right.domains)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on both sides and on their means."""
        means = self.left.mean and self.right.mean and not self.reasons and not self._same_domains
        of_means = ("the means are over different domains, and are not subtracted",) if means else ()
        return (*self.left.notes, *self.right.notes, *self._run_otherwise, *of_means)

    def json(self) -> dict[str, Any]:
        """For ``--json``; there is a difference only where there is no reason against it."""
        places = {
            **{d: (self.left.domains.get(d, {}), self.right.domains.get(d, {}), True) for d in self.domains},
            "mean": (self.left.mean, self.right.mean, self._same_domains),
        }
        figures = {
            place: {m: self._figures(one.get(m), other.get(m), alike) for m in self.metrics}
            for place, (one, other, alike) in places.items()
        }
        return {
            "method": self.left.method,
            "shots": self.left.shots,
            "left": self.left.label,
            "right": self.right.label,
            "comparable": not self.reasons,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "domains": dict(zip(("left", "right"), self.over, strict=True)),
            "figures": figures,
        }

    @property
    def _run_otherwise(self) -> list[str]:
        one, other = self.left.run, self.right.run
        differing = [name for name in one if one[name] != other.get(name, one[name])]
        left, right = self.left.label, self.right.label
        return [f"other {name}: {one[name]} in {left}; {other[name]} in {right}" for name in differing]

    @property
    def _same_domains(self) -> bool:
        return self.left.domains.keys() == self.right.domains.keys()

    def _figures(self, one: float | None, other: float | None, alike: bool) -> dict[str, float | None]:
        subtract = alike and not self.reasons and one is not None and other is not None
        less = difference(one, other) if subtract else None  # type: ignore[arg-type]
        return {"left": one, "right": other, "difference": less}


def entry(row: Row, label: str) -> ComparedRow:
    """The entry of a leaderboard row."""
    holes = tuple(f"incomplete: {f.domain}: {f.reason}" for f in row.failures)
    own = setting(row)
    return ComparedRow(
        label=label,
        method=row.method,
        shots=row.shots,
        setting={
            "data set": own.dataset,
            "backbone": own.backbone,
            "pre-training corpus": row.backbone_record.corpus,
            "protocol": own.protocol,
            "shots": row.shots,
            "precision": row.backbone_record.precision,
            "weights": own.weights,
            "configuration of the backbone": own.config,
            "preprocessing": own.preprocessing,
            "edition of the protocol": own.protocol_edition or None,
            **{f"data of {domain}": data.fingerprint for domain, data in row.data.items()},
        },
        domains={d: {m: stat.mean for m, stat in stats.items()} for d, stats in row.domains.items()},
        mean={m: stat.mean for m, stat in row.mean.items()},
        notes=holes,
        run={
            "seeds": ", ".join(map(str, row.seeds)),
            **{name: short_hashes(format_value(value)) for name, value in row.method_record.parameters.items()},
        },
    )


def published_entry(row: PublishedRow, table: PublishedTable) -> ComparedRow:
    """The entry of a row of the paper."""
    several = len({other.corpus for other in table.rows}) > 1
    return ComparedRow(
        label=f"{table.source.table} ({row.corpus})" if several else table.source.table,
        method=row.method,
        shots=row.shots,
        setting={
            "data set": row.dataset,
            "backbone": row.backbone,
            "pre-training corpus": row.corpus,
            "protocol": table.protocol,
            "shots": row.shots,
        },
        domains=row.domains,
        mean=row.mean,
        notes=row.notes,
        other_kind=row.other_kind,
    )


def compare(left: ComparedRow, right: ComparedRow) -> Comparison:
    """Compare two entries, with the reasons against subtracting them."""
    reasons = [f"another kind of figure: {side.other_kind}" for side in (left, right) if side.other_kind]
    for name in {**left.setting, **right.setting}:
        one, other = left.setting.get(name, ABSENT), right.setting.get(name, ABSENT)
        if one == other or ABSENT in (one, other):
            continue
        if name.startswith("data of") or name == "weights":
            reasons.append(f"other {name} (sha256 {str(one)[:12]} and {str(other)[:12]})")
        else:
            sides = ("not stated" if side is None else short_hashes(str(side)) for side in (one, other))
            reasons.append(f"other {name}: {' and '.join(sides)}")
    return Comparison(left, right, tuple(reasons))


def with_published(board: Leaderboard, tables: Iterable[PublishedTable]) -> list[Comparison]:
    """Compare every row with every published row of its method that shares a metric.

    A published row of another setting is included with the reasons; one of other shots only where the method has no
    row with its shots.
    """
    there = {(row.method, row.shots) for row in board.rows}
    published = [published_entry(row, table) for table in tables for row in table.rows]
    found = []
    for row in board.rows:
        ours = entry(row, "ours")
        family = row.protocol.partition("-")[0]  # clustering, of its edition clustering-2025 too
        if family == "clustering":
            given_names = ", which is given the names" if "vocabulary" in row.method_record.needs else ""
            ours = replace(ours, notes=(*ours.notes, f"ours are clusters of {row.method}{given_names}"))
        # Table 1 names no method: what it prints are the features' clusters, whichever method finds them.
        same = [e for e in published if e.method in (row.method, family) and _metrics(e) & _metrics(ours)]
        same = [e for e in same if e.shots == row.shots or (row.method, e.shots) not in there]
        found += [compare(ours, other) for other in same]
    return found


def between(a: Leaderboard, b: Leaderboard) -> tuple[list[Comparison], list[Row], list[Row]]:
    """Compare the rows of two leaderboards; also those that only A has, and only B."""
    pairs, only_a, only_b = pair(a.rows, b.rows)
    return [compare(entry(one, "A"), entry(other, "B")) for one, other in pairs], only_a, only_b


def pair(a: Sequence[Row], b: Sequence[Row]) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Match the rows of two leaderboards, and return the unmatched rows of both.

    First the rows with the same id, then those with the same parameters in the same setting, then those with the same
    method, protocol, data set and shots, in the order of the files.
    """
    left, right = dict(enumerate(a)), dict(enumerate(b))
    pairs: dict[int, tuple[Row, Row]] = {}
    for alike in (lambda row: row.id, _setting, _question):
        waiting: dict[object, list[int]] = {}
        for place in reversed(right):
            waiting.setdefault(alike(right[place]), []).append(place)
        for place in list(left):
            if twins := waiting.get(alike(left[place])):
                pairs[place] = left.pop(place), right.pop(twins.pop())
    return [pairs[place] for place in sorted(pairs)], list(left.values()), list(right.values())


def diff(a: Leaderboard, b: Leaderboard) -> dict[str, list[Difference]]:
    """Row -> its differences, to the last digit; empty for equal leaderboards."""
    pairs, only_a, only_b = pair(a.rows, b.rows)
    found = {}
    for one, other in pairs:
        # The id follows from the rest.
        before, after = (row.model_dump(mode="json", exclude={"id"}) for row in (one, other))
        what = list(differences(before, after))
        if what:
            found[title(one)] = what
    for row, sides in [(r, ("present", ABSENT)) for r in only_a] + [(r, (ABSENT, "present")) for r in only_b]:
        found.setdefault(title(row), []).append(Difference("row", *sides))
    return found


def title(row: Row) -> str:
    """A row in words."""
    return f"{row.method}@{row.shots} ({row.id}; {row.dataset}, {row.backbone}, {row.protocol})"


def _metrics(side: ComparedRow) -> set[str]:
    return {metric for values in side.domains.values() for metric in values}


def _setting(row: Row) -> tuple[str, ...]:
    return *_question(row), *setting(row), json.dumps(row.method_record.parameters, sort_keys=True)


def _question(row: Row) -> tuple[str, ...]:
    return row.method, row.protocol, row.dataset, str(row.shots)
