"""Reading the domains of a data folder, or of the miniature."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from harness.datasets.digests import DigestIndex
from harness.datasets.domain import DEFAULT, DomainData, read_domain, without_copies
from harness.datasets.layout import Dataset, unmatched_folders
from harness.errors import DataError, HarnessError, unknown_name
from harness.files import OTHER_CACHE_HINT
from harness.miniature import build as miniature_build
from harness.progress import Reporter, staged
from harness.protocols import Protocol
from harness.types.leaderboard import RowFailure


def miniature_data(cache: Path, report: Reporter, workers: int) -> Path:
    """The miniature's folder in the cache; drawn on first use."""
    with staged(report, "concepts") as progress:
        drawing = partial(progress, "drawing beyond-mini")
        return miniature_build.build(cache / miniature_build.IN_CACHE, drawing, workers, OTHER_CACHE_HINT)


def domain_names(dataset: Dataset, wanted: tuple[str, ...] | None) -> list[str]:
    """The domains to run, sorted; None is all that have an OOP folder.

    Raises:
        UserError: there is no such domain.
        DataError: no domain has an OOP folder.
    """
    for name in wanted or ():
        if name not in dataset.domains:
            raise unknown_name("domain", name, dataset.domains)
    complete = [name for name, folders in dataset.domains.items() if folders.oop is not None]
    if not complete:
        raise DataError(f"{dataset.root} has no OOP folder", "the data need at least one {Domain}{N}_OOP folder")
    return sorted(complete if wanted is None else wanted)


def note_unmatched(dataset: Dataset, wanted: tuple[str, ...] | None, report: Reporter) -> None:
    """Tell of folders that have no partner; of those that the wanted domains are about, if some are wanted."""
    for found in unmatched_folders(dataset.root):
        if wanted is None or found.domains & {*wanted}:
            report.note(found.message)


def read_domains(
    dataset: Dataset,
    names: list[str],
    workers: int,
    index: DigestIndex,
    report: Reporter,
    protocol: Protocol = DEFAULT,
    leave_out_copies: bool = False,
) -> tuple[dict[str, DomainData], list[RowFailure]]:
    """The domains that can be read, and why the others cannot; without scored copies of train and val images on wish.

    Raises:
        DataError: none can.
    """
    domains: dict[str, DomainData] = {}
    errors: dict[str, HarnessError] = {}
    with report.stage("reading domains", len(names), "domains") as advance:
        for name in names:
            try:
                data = read_domain(dataset, name, index, workers, advance, protocol)
                domains[name] = _without_copies(data) if leave_out_copies else data
            except DataError as error:
                errors[name] = error
                report.note(f"{name} is left out: {error}")
    if not domains:
        raise next(iter(errors.values()))
    lost = [RowFailure(domain=name, seed=None, kind="error", reason=error.message) for name, error in errors.items()]
    return domains, lost


def _without_copies(data: DomainData) -> DomainData:
    left = without_copies(data)
    if "oop" not in left.scored:
        raise DataError(f"{data.name}: every OOP test image is a copy of a train or val image")
    return left
