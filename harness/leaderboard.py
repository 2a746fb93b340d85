"""From cells to leaderboard rows: grouped by everything that makes them comparable, averaged only when whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from harness.metrics import mean_std
from harness.types.cell import METRICS, Cell, Spec
from harness.types.leaderboard import DomainData, Leaderboard, Row, RowFailure, Stat

Wanted = Iterable[tuple[str, int]]
"""(domain, seed) pairs that a whole row covers."""


def row_key(spec: Spec) -> str:
    """What cells of one row have in common: the spec without domain, seed, draw and data."""
    content = spec.model_dump(mode="json", exclude={"domain", "seed", "manifest"})
    content["dataset"] = content["dataset"]["name"]
    return json.dumps(content, sort_keys=True)


def assemble(cells: Iterable[Cell], wanted: Wanted | None = None, lost: Sequence[RowFailure] = ()) -> Leaderboard:
    """The leaderboard of some cells.

    Args:
        cells: finished and failed cells, in any order.
        wanted: what every row should cover; by default every (domain, seed) that occurs in a row of the same
            protocol and data set with the same number of shots.
        lost: domains that could not even be read; they are holes in every row.
    """
    groups: dict[str, dict[tuple[str, int], list[Cell]]] = {}
    for cell in cells:
        group = groups.setdefault(row_key(cell.spec), {})
        group.setdefault((cell.spec.domain, cell.spec.seed), []).append(cell)
    chosen = None if wanted is None else sorted(set(wanted))
    universe: dict[tuple[str, str, int], set[tuple[str, int]]] = {}
    for group in groups.values():
        universe.setdefault(_setting(group), set()).update(group)
    rows = []
    for group in groups.values():
        expected = chosen if chosen is not None else sorted(universe[_setting(group)])
        for edition in _editions(group):
            rows.append(_row(edition, expected, lost))
    return Leaderboard(rows=tuple(sorted(rows, key=_order)))


def _setting(group: dict[tuple[str, int], list[Cell]]) -> tuple[str, str, int]:
    spec = next(iter(group.values()))[0].spec
    return spec.protocol, spec.dataset.name, spec.shots


def _editions(group: dict[tuple[str, int], list[Cell]]) -> list[list[Cell]]:
    """Split cells of one domain and seed that rest on different data: rows never mix them."""
    depth = max(len(cells) for cells in group.values())
    ordered = [sorted(cells, key=lambda c: (c.spec.dataset.fingerprint, c.spec.key)) for cells in group.values()]
    return [[cells[i] for cells in ordered if i < len(cells)] for i in range(depth)]


def _row(cells: list[Cell], expected: Sequence[tuple[str, int]], lost: Sequence[RowFailure]) -> Row:
    cells = sorted(cells, key=lambda cell: (cell.spec.domain, cell.spec.seed))
    spec = cells[0].spec
    done = [cell for cell in cells if cell.failure is None]
    domains: dict[str, dict[str, Stat]] = {}
    for domain in sorted({cell.spec.domain for cell in done}):
        of_domain = [cell for cell in done if cell.spec.domain == domain]
        domains[domain] = {metric: _stat(values) for metric in METRICS if (values := _values(of_domain, metric))}
    failures = [
        RowFailure(domain=c.spec.domain, seed=c.spec.seed, kind=c.failure.kind, reason=c.failure.reason)
        for c in cells
        if c.failure is not None
    ]
    present = {(cell.spec.domain, cell.spec.seed) for cell in cells}
    failures += [
        RowFailure(domain=domain, seed=seed, kind="missing", reason="not run")
        for domain, seed in expected
        if (domain, seed) not in present
    ]
    failures += lost
    complete = not failures
    return Row(
        method=spec.method.name,
        protocol=spec.protocol,
        dataset=spec.dataset.name,
        backbone=f"{spec.backbone.architecture}/{spec.backbone.pretrained}",
        shots=spec.shots,
        seeds=tuple(sorted({cell.spec.seed for cell in cells})),
        complete=complete,
        domains=domains,
        mean=_mean_over_domains(done) if complete else {},
        failures=tuple(sorted(failures, key=lambda f: (f.domain, -1 if f.seed is None else f.seed))),
        oop_exact=spec.dataset.oop_exact,
        device=spec.device,
        versions=spec.versions,
        method_record=spec.method,
        backbone_record=spec.backbone,
        data={domain: _data([c for c in cells if c.spec.domain == domain]) for domain in _domains(cells)},
    )


def _domains(cells: list[Cell]) -> list[str]:
    return sorted({cell.spec.domain for cell in cells})


def _values(cells: list[Cell], metric: str) -> list[float]:
    return [cell.metrics[metric] for cell in cells if metric in cell.metrics]


def _stat(values: list[float]) -> Stat:
    mean, std = mean_std(values)
    return Stat(mean=mean, std=std, n=len(values))


def _mean_over_domains(cells: list[Cell]) -> dict[str, Stat]:
    """For each seed the mean over domains, then mean and spread over seeds; only metrics that every domain has."""
    means: dict[str, Stat] = {}
    seeds = sorted({cell.spec.seed for cell in cells})
    for metric in METRICS:
        if cells and all(metric in cell.metrics for cell in cells):
            per_seed = [mean_std(_values([c for c in cells if c.spec.seed == seed], metric))[0] for seed in seeds]
            means[metric] = _stat(per_seed)
    return means


def _data(cells: list[Cell]) -> DomainData:
    first = cells[0]
    return DomainData(
        folders=first.spec.dataset.folders,
        fingerprint=first.spec.dataset.fingerprint,
        manifests={str(cell.spec.seed): cell.spec.manifest for cell in cells},
        images=first.images,
        unreadable=tuple(sorted({path for cell in cells for path in cell.unreadable})),
    )


def _order(row: Row) -> tuple[str, str, str, int, str, str]:
    identity = json.dumps(
        row.model_dump(mode="json", include={"method_record", "versions", "device", "data"}), sort_keys=True
    )
    return row.protocol, row.dataset, row.backbone, row.shots, row.method, identity
