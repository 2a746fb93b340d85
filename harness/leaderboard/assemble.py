"""From cells to leaderboard rows: grouped by setting, averaged only when complete."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from harness.metrics.accuracy import exact_mean, mean_std
from harness.metrics.built_in import in_table_order
from harness.types.cell import NO_SEED, Cell, Failure, Spec
from harness.types.leaderboard import DomainRecord, Leaderboard, Row, RowFailure, Stat

Pairs = list[tuple[str, int]]
"""(domain, seed) pairs of a complete row; one that depends on no seed covers every domain once."""


def row_key(spec: Spec) -> str:
    """The part of a spec that cells of one row share: without domain, seed, draw and data."""
    data = spec.dataset
    shared = spec.model_dump_json(exclude={"domain", "seed", "manifest", "dataset"})
    return json.dumps([data.name, data.copies_left_out, _canonical(shared)])


def setting_key(spec: Spec) -> str:
    """The part of a spec that rows of one table share."""
    data = spec.dataset
    return json.dumps([spec.protocol, data.name, data.copies_left_out, spec.backbone.model_dump_json(), spec.shots])


@lru_cache(maxsize=1 << 12)
def _canonical(text: str) -> str:
    """A JSON document with sorted keys."""
    return json.dumps(json.loads(text), sort_keys=True)


@dataclass
class Coverage:
    """Every domain with every seed that occurs in a setting, so that the mean of each seed is over the same domains."""

    domains: set[str] = field(default_factory=set)
    seeds: set[int] = field(default_factory=set)

    def add(self, domain: str, seed: int, seedless: bool) -> None:
        """Count a cell, stored or planned."""
        self.domains.add(domain)
        if not seedless:
            self.seeds.add(seed)

    def pairs(self) -> Pairs:
        """What a complete row of the setting covers."""
        seeds = sorted(self.seeds or {NO_SEED})
        return [(domain, seed) for domain in sorted(self.domains) for seed in seeds]


def assemble(
    cells: Iterable[Cell],
    wanted: Iterable[tuple[str, int]] | None = None,
    lost: Sequence[RowFailure] = (),
    planned: Iterable[Spec] = (),
) -> Leaderboard:
    """The leaderboard of some cells; its time grows in proportion to their number.

    Args:
        cells: finished and failed cells, in any order; of several with one spec a finished one is taken.
        wanted: what a complete row covers; by default every domain with every seed that occurs in a row of the same
            protocol, data set and backbone with the same number of shots.
        lost: domains that could not be read; they are missing in every row.
        planned: specs that count as present, where ``wanted`` is not given.
    """
    groups: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[row_key(cell.spec)].append(cell)
    chosen = None if wanted is None else sorted(set(wanted))
    covered: defaultdict[str, Coverage] = defaultdict(Coverage)
    for spec in (*planned, *(cell.spec for group in groups.values() for cell in group)):
        covered[setting_key(spec)].add(spec.domain, spec.seed, spec.seedless)
    pairs = {setting: coverage.pairs() for setting, coverage in covered.items()}
    rows = [
        row
        for group in groups.values()
        for row in rows_of(group, pairs[setting_key(group[0].spec)] if chosen is None else chosen, lost)
    ]
    return Leaderboard(rows=tuple(sorted(rows, key=RowOrder)))


def rows_of(cells: Iterable[Cell], covered: Pairs, lost: Sequence[RowFailure] = ()) -> list[Row]:
    """The rows of cells with one ``row_key``: several if a domain has results on several editions of its data.

    Args:
        cells: finished and failed ones, in any order; of several with one spec a finished one is taken.
        covered: what a complete row of the setting covers.
        lost: domains that could not be read.
    """
    group = _distinct(cells)
    expected = sorted({(domain, NO_SEED) for domain, _ in covered}) if group[0].spec.seedless else covered
    return [_row(edition, expected, lost) for edition in _editions(group)]


class RowOrder:
    """The place of a row in a leaderboard: by setting, method, and then the whole row as JSON with sorted keys.

    The JSON is made field by field, as far as it is needed to tell two rows apart. Comparing fields is comparing
    the whole, because no field's JSON begins another's; only numbers could, and their rows share the shots.
    """

    def __init__(self, row: Row) -> None:
        self._row = row
        self._parts: list[Any] = [(row.protocol, row.dataset, row.backbone, row.shots, row.method)]

    def __iter__(self) -> Iterator[Any]:
        for number in range(1 + len(_SORTED_FIELDS)):
            if number == len(self._parts):
                name = _SORTED_FIELDS[number - 1]
                content = self._row.model_dump(mode="json", include={name})[name]
                self._parts.append(json.dumps(content, sort_keys=True))
            yield self._parts[number]

    def __lt__(self, other: RowOrder) -> bool:
        return next((one < its for one, its in zip(self, other, strict=True) if one != its), False)


_SORTED_FIELDS = sorted(Row.model_fields)


def _distinct(cells: Iterable[Cell]) -> list[Cell]:
    """One cell of each spec, a result before a failure; by key where domain, data and seed agree."""
    alike: defaultdict[tuple[str, str, int], dict[str | None, Cell]] = defaultdict(dict)
    for cell in cells:
        spec = cell.spec
        drawn = alike[spec.domain, spec.dataset.model_dump_json(), spec.seed]
        known = drawn.get(spec.manifest)
        drawn[spec.manifest] = cell if known is None else min(known, cell, key=_preference)
    return [
        cell
        for drawn in alike.values()
        for cell in (sorted(drawn.values(), key=lambda one: one.spec.key) if len(drawn) > 1 else drawn.values())
    ]


def _preference(cell: Cell) -> tuple[bool, str]:
    return cell.failure is not None, cell.model_dump_json()


def _editions(group: list[Cell]) -> list[list[Cell]]:
    """The cells of each row of a group: one, unless a domain has results on several editions of its data.

    These are never in one row; a domain with one edition is in every row.
    """
    domains: dict[str, list[list[Cell]]] = {}
    for domain, cells in _by_domain(group).items():
        by_data: defaultdict[str, defaultdict[int, list[Cell]]] = defaultdict(lambda: defaultdict(list))
        for cell in cells:
            by_data[cell.spec.dataset.model_dump_json()][cell.spec.seed].append(cell)
        domains[domain] = [layer for _, seeds in sorted(by_data.items()) for layer in _layers(seeds)]
    depth = max(len(editions) for editions in domains.values())
    shared = {domain: editions * depth if len(editions) == 1 else editions for domain, editions in domains.items()}
    return [[cell for e in shared.values() if i < len(e) for cell in e[i]] for i in range(depth)]


def _layers(seeds: dict[int, list[Cell]]) -> list[list[Cell]]:
    """Where cells share data and seed (the draw was changed): the first of each seed, the second, ..."""
    depth = max(len(cells) for cells in seeds.values())
    return [[cells[i] for cells in seeds.values() if i < len(cells)] for i in range(depth)]


def _row(cells: list[Cell], expected: Pairs, lost: Sequence[RowFailure]) -> Row:
    cells = sorted(_alike(cells), key=lambda cell: (cell.spec.domain, cell.spec.seed))
    spec = cells[0].spec
    done = [cell for cell in cells if cell.failure is None]
    by_domain = _by_domain(done)
    failures = [*_failures(cells, expected), *lost]
    complete = not failures
    return Row(
        method=spec.method.name,
        protocol=spec.protocol,
        decoding=spec.decoding,
        dataset=spec.dataset.name,
        backbone=f"{spec.backbone.architecture}/{spec.backbone.pretrained}",
        shots=spec.shots,
        seeds=tuple(sorted({cell.spec.seed for cell in cells})),
        complete=complete,
        domains={domain: _stats(of_domain) for domain, of_domain in by_domain.items()},
        mean=_mean_over_domains(done) if complete else {},
        failures=tuple(sorted(failures, key=lambda f: (f.domain, -1 if f.seed is None else f.seed))),
        per_class={domain: _per_class(of_domain) for domain, of_domain in by_domain.items()},
        not_applicable=next((c.not_applicable for c in done if c.not_applicable), None),
        copies_left_out=spec.dataset.copies_left_out,
        device=spec.device,
        versions=spec.versions,
        method_record=spec.method,
        backbone_record=spec.backbone,
        data={domain: _data(of_domain) for domain, of_domain in _by_domain(cells).items()},
    )


def _failures(cells: list[Cell], expected: Pairs) -> list[RowFailure]:
    """The failed and missing cells of a row."""
    present = {(cell.spec.domain, cell.spec.seed) for cell in cells}
    failed = [
        RowFailure(domain=c.spec.domain, seed=c.spec.seed, kind=c.failure.kind, reason=c.failure.reason)
        for c in cells
        if c.failure is not None
    ]
    missing = [pair for pair in expected if pair not in present]
    return failed + [RowFailure(domain=domain, seed=seed, kind="missing", reason="not run") for domain, seed in missing]


def _alike(cells: list[Cell]) -> list[Cell]:
    """The cells of a row; where some score the IP names, those of a fixed vocabulary become holes with their reason.

    A mean over seeds or domains is of the same metrics everywhere.
    """
    done = [cell for cell in cells if cell.failure is None]
    if not any(cell.not_applicable is None and "ip" in cell.images for cell in done):
        return cells
    return [
        cell.model_copy(update={"failure": Failure(kind="not applicable", reason=cell.not_applicable)})
        if cell.failure is None and cell.not_applicable is not None
        else cell
        for cell in cells
    ]


def _by_domain(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Domain -> its cells, in the order of the domains' names."""
    domains: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        domains[cell.spec.domain].append(cell)
    return dict(sorted(domains.items()))


def _stats(cells: list[Cell]) -> dict[str, Stat]:
    """The metrics that any of the cells has, over those that have it."""
    return {
        metric: _stat([cell.metrics[metric] for cell in cells if metric in cell.metrics]) for metric in _metrics(cells)
    }


def _metrics(cells: list[Cell]) -> list[str]:
    return in_table_order({metric for cell in cells for metric in cell.metrics})


def _stat(values: list[float]) -> Stat:
    mean, std = mean_std(values)
    return Stat(mean=mean, std=std, n=len(values))


def _mean_over_domains(cells: list[Cell]) -> dict[str, Stat]:
    """For each seed the mean over domains, then mean and spread over seeds; of metrics that all have."""
    seeds: defaultdict[int, list[Cell]] = defaultdict(list)
    for cell in cells:
        seeds[cell.spec.seed].append(cell)
    shared = [metric for metric in _metrics(cells) if all(metric in cell.metrics for cell in cells)]
    return {
        metric: _stat([exact_mean([cell.metrics[metric] for cell in of_seed]) for _, of_seed in sorted(seeds.items())])
        for metric in shared
    }


def _per_class(cells: list[Cell]) -> dict[str, tuple[float | None, ...]]:
    """Side -> mean over seeds of every class, of sides with the same number of classes in all cells.

    A class without images has no mean.
    """
    means: dict[str, tuple[float | None, ...]] = {}
    for side in cells[0].per_class:
        columns = [cell.per_class.get(side, ()) for cell in cells]
        if len(set(map(len, columns))) == 1:
            means[side] = tuple(map(_known_mean, zip(*columns, strict=True)))
    return means


def _known_mean(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return exact_mean(known) if known else None


def _data(cells: list[Cell]) -> DomainRecord:
    first = cells[0]
    done = [cell for cell in cells if cell.failure is None]
    return DomainRecord(
        folders=first.spec.dataset.folders,
        fingerprint=first.spec.dataset.fingerprint,
        manifests={str(cell.spec.seed): cell.spec.manifest for cell in cells},
        predictions={str(cell.spec.seed): cell.predictions for cell in cells},
        images=next((cell.images for cell in done), {}),
        unreadable=tuple(sorted({path for cell in cells for path in cell.unreadable})),
        copies={str(cell.spec.seed): cell.copies for cell in done if cell.copies},
        left_out=next((cell.left_out for cell in done), 0),
        collisions=next((cell.collisions for cell in done), ()),
        revision=next((cell.revision for cell in cells if cell.revision), None),
        features_from=tuple(sorted({origin for cell in cells for origin in cell.features_from})),
        isolation=tuple(sorted({cell.isolation for cell in cells if cell.isolation})),
    )
