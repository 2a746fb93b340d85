"""From cells to leaderboard rows: grouped by setting, averaged only when complete."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from harness.metrics.accuracy import mean_std
from harness.metrics.built_in import in_table_order
from harness.types.cell import NO_SEED, Cell, Failure, Spec
from harness.types.leaderboard import DomainRecord, Leaderboard, Row, RowFailure, Stat

Wanted = Iterable[tuple[str, int]]
"""(domain, seed) pairs of a complete row; one that depends on no seed covers every domain once."""


def row_key(spec: Spec) -> str:
    """The part of a spec that cells of one row share: without domain, seed, draw and data."""
    content = spec.model_dump(mode="json", exclude={"domain", "seed", "manifest"})
    content["dataset"] = [content["dataset"][name] for name in ("name", "oop_exact", "copies_left_out")]
    return json.dumps(content, sort_keys=True)


def assemble(
    cells: Iterable[Cell],
    wanted: Wanted | None = None,
    lost: Sequence[RowFailure] = (),
    planned: Iterable[Spec] = (),
) -> Leaderboard:
    """The leaderboard of some cells.

    Args:
        cells: finished and failed cells, in any order; of several with one spec a finished one is taken.
        wanted: what a complete row covers; by default every domain with every seed that occurs in a row of the same
            protocol, data set and backbone with the same number of shots.
        lost: domains that could not be read; they are missing in every row.
        planned: specs that count as present, where ``wanted`` is not given.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in _distinct(cells):
        groups.setdefault(row_key(cell.spec), []).append(cell)
    settings: dict[tuple[object, ...], list[Spec]] = {}
    for spec in (*planned, *(cell.spec for group in groups.values() for cell in group)):
        settings.setdefault(_setting(spec), []).append(spec)
    chosen = None if wanted is None else sorted(set(wanted))
    rows = []
    for group in groups.values():
        covered = chosen if chosen is not None else _grid(settings[_setting(group[0].spec)])
        expected = sorted({(domain, NO_SEED) for domain, _ in covered}) if group[0].spec.seedless else covered
        rows += [_row(edition, expected, lost) for edition in _editions(group)]
    return Leaderboard(rows=tuple(sorted(rows, key=_order)))


def _distinct(cells: Iterable[Cell]) -> list[Cell]:
    """One cell of each spec, a result before a failure."""
    best: dict[str, Cell] = {}
    for cell in cells:
        key = cell.spec.key
        best[key] = min(best[key], cell, key=_preference) if key in best else cell
    return [best[key] for key in sorted(best)]


def _preference(cell: Cell) -> tuple[bool, str]:
    return cell.failure is not None, cell.model_dump_json()


def _setting(spec: Spec) -> tuple[object, ...]:
    """What rows of one table share."""
    data = spec.dataset
    return spec.protocol, data.name, data.copies_left_out, spec.backbone.model_dump_json(), spec.shots


def _grid(specs: list[Spec]) -> list[tuple[str, int]]:
    """Every domain with every seed, so that the mean of each seed is over the same domains."""
    seeds = sorted({spec.seed for spec in specs if not spec.seedless} or {NO_SEED})
    return [(domain, seed) for domain in sorted({spec.domain for spec in specs}) for seed in seeds]


def _editions(group: list[Cell]) -> list[list[Cell]]:
    """The cells of each row of a group: one, unless a domain has results on several editions of its data.

    These are never in one row; a domain with one edition is in every row.
    """
    domains: dict[str, list[list[Cell]]] = {}
    for domain in _domains(group):
        by_data: dict[str, dict[int, list[Cell]]] = {}
        for cell in group:
            if cell.spec.domain == domain:
                data = by_data.setdefault(cell.spec.dataset.model_dump_json(), {})
                data.setdefault(cell.spec.seed, []).append(cell)
        domains[domain] = [layer for _, seeds in sorted(by_data.items()) for layer in _layers(seeds)]
    depth = max(len(editions) for editions in domains.values())
    shared = {domain: editions * depth if len(editions) == 1 else editions for domain, editions in domains.items()}
    return [[cell for e in shared.values() if i < len(e) for cell in e[i]] for i in range(depth)]


def _layers(seeds: dict[int, list[Cell]]) -> list[list[Cell]]:
    """Where cells share data and seed (the draw was changed): the first of each seed, the second, ..."""
    depth = max(len(cells) for cells in seeds.values())
    return [[cells[i] for cells in seeds.values() if i < len(cells)] for i in range(depth)]


def _row(cells: list[Cell], expected: Sequence[tuple[str, int]], lost: Sequence[RowFailure]) -> Row:
    cells = sorted(_alike(cells), key=lambda cell: (cell.spec.domain, cell.spec.seed))
    spec = cells[0].spec
    done = [cell for cell in cells if cell.failure is None]
    domains: dict[str, dict[str, Stat]] = {}
    for domain in sorted({cell.spec.domain for cell in done}):
        of_domain = [cell for cell in done if cell.spec.domain == domain]
        domains[domain] = {metric: _stat(_values(of_domain, metric)) for metric in _metrics(of_domain)}
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
        decoding=spec.decoding,
        dataset=spec.dataset.name,
        backbone=f"{spec.backbone.architecture}/{spec.backbone.pretrained}",
        shots=spec.shots,
        seeds=tuple(sorted({cell.spec.seed for cell in cells})),
        complete=complete,
        domains=domains,
        mean=_mean_over_domains(done) if complete else {},
        failures=tuple(sorted(failures, key=lambda f: (f.domain, -1 if f.seed is None else f.seed))),
        per_class={domain: _per_class([c for c in done if c.spec.domain == domain]) for domain in domains},
        not_applicable=next((c.not_applicable for c in done if c.not_applicable), None),
        oop_exact=spec.dataset.oop_exact,
        copies_left_out=spec.dataset.copies_left_out,
        device=spec.device,
        versions=spec.versions,
        method_record=spec.method,
        backbone_record=spec.backbone,
        data={domain: _data([c for c in cells if c.spec.domain == domain]) for domain in _domains(cells)},
    )


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


def _domains(cells: list[Cell]) -> list[str]:
    return sorted({cell.spec.domain for cell in cells})


def _metrics(cells: list[Cell]) -> list[str]:
    return in_table_order({metric for cell in cells for metric in cell.metrics})


def _values(cells: list[Cell], metric: str) -> list[float]:
    return [cell.metrics[metric] for cell in cells if metric in cell.metrics]


def _stat(values: list[float]) -> Stat:
    mean, std = mean_std(values)
    return Stat(mean=mean, std=std, n=len(values))


def _mean_over_domains(cells: list[Cell]) -> dict[str, Stat]:
    """For each seed the mean over domains, then mean and spread over seeds; of metrics that all have."""
    means: dict[str, Stat] = {}
    seeds = sorted({cell.spec.seed for cell in cells})
    for metric in _metrics(cells):
        if all(metric in cell.metrics for cell in cells):
            per_seed = [mean_std(_values([c for c in cells if c.spec.seed == seed], metric))[0] for seed in seeds]
            means[metric] = _stat(per_seed)
    return means


def _per_class(cells: list[Cell]) -> dict[str, tuple[float | None, ...]]:
    """Side -> mean over seeds of every class, of sides with the same number of classes in all cells.

    A class without images has no mean.
    """
    means: dict[str, tuple[float | None, ...]] = {}
    for side in cells[0].per_class:
        if len({len(cell.per_class.get(side, ())) for cell in cells}) > 1:
            continue
        by_class = zip(*(cell.per_class[side] for cell in cells), strict=True)
        known = [[value for value in values if value is not None] for values in by_class]
        means[side] = tuple(mean_std(values)[0] if values else None for values in known)
    return means


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


def _order(row: Row) -> tuple[str, str, str, int, str, str]:
    identity = json.dumps(row.model_dump(mode="json"), sort_keys=True)
    return row.protocol, row.dataset, row.backbone, row.shots, row.method, identity
