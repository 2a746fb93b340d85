"""Load the domains of a data set."""

from __future__ import annotations

from typing import Protocol

from harness.datasets.domain import DomainData
from harness.datasets.layout import Dataset, unmatched_folders
from harness.errors import DataError, HarnessError, unknown_name
from harness.progress import Reporter
from harness.types.leaderboard import RowFailure


class Reader(Protocol):
    """Reads domains by name."""

    def read(self, name: str) -> DomainData:
        """One domain; raises DataError if it cannot be read."""
        ...


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
    """Note the folders without a folder of the other side; only those of the wanted domains, if some are wanted."""
    for found in unmatched_folders(dataset.root):
        if wanted is None or found.domains & {*wanted}:
            report.note(found.message)


def read_domains(reader: Reader, names: list[str], report: Reporter) -> tuple[dict[str, DomainData], list[RowFailure]]:
    """The domains that can be read, and why the others cannot.

    Raises:
        DataError: none can.
    """
    domains: dict[str, DomainData] = {}
    errors: dict[str, HarnessError] = {}
    with report.stage("reading domains", len(names), "domains") as advance:
        for name in names:
            try:
                domains[name] = reader.read(name)
                advance(1)
            except DataError as error:
                errors[name] = error
        for name in list(errors)[not domains :]:  # without any domain, the first error ends the run
            report.note(f"{name} is left out: {errors[name]}")
    if not domains:
        raise next(iter(errors.values()))
    lost = [RowFailure(domain=name, seed=None, kind="error", reason=error.message) for name, error in errors.items()]
    return domains, lost
