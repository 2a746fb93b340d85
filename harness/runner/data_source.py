"""Find the data of a run: a folder, or a data set that a plugin offers by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.datasets.layout import Dataset, open_dataset
from harness.errors import DataError, HarnessError, one_line
from harness.folders import cache_root
from harness.hookspecs import DatasetOffer
from harness.progress import NullReporter, Reporter
from harness.runner.given_features import GIVEN_FEATURES
from harness.runner.request import Request
from harness.runner.resolve_plugins import resolve_dataset

DEFAULT_DATASET = "beyond-mini"
"""The data set that is evaluated if a request names no data."""


@dataclass(frozen=True)
class DataSource:
    """Data that were found; nothing is downloaded, generated or read yet.

    Attributes:
        name: of the data set.
        given: the folder's content, None for a plugin's data set.
        offer: what a plugin offers under that name, None if no plugin does.
    """

    name: str
    given: Dataset | None
    offer: DatasetOffer | None

    def open(self, request: Request, report: Reporter) -> Dataset:
        """The folders of the data; an offered data set is prepared in the cache first.

        Raises:
            HarnessError: it cannot be prepared, or a choice between folders is needed.
        """
        if self.given is not None:
            return self.given
        assert self.offer is not None, "data are a folder or offered, unless features are given"
        folder = cache_root(request.cache) / self.offer.folder
        try:
            self.offer.prepare(folder, report, request.workers)
        except HarnessError:
            raise
        except (Exception, SystemExit) as error:  # third-party code
            raise DataError(f"the data set {self.name} cannot be prepared: {one_line(error)}") from error
        return open_dataset(folder, request.folders)


def find_data(request: Request, report: Reporter) -> DataSource:
    """Find the data of a request: a folder, or else the data set that a plugin offers by that name.

    Raises:
        HarnessError: neither exists, or the folder contains no data.
    """
    if request.features:
        return DataSource(GIVEN_FEATURES, None, None)
    name = str(request.data or DEFAULT_DATASET)
    folder = Path(name).expanduser()
    if request.data is None or not folder.exists():
        plugin = resolve_dataset(name, report)
        if plugin is not None:
            return DataSource(name, None, plugin.value)
    given = open_dataset(folder, request.folders)
    plugin = resolve_dataset(given.name, report)
    return DataSource(given.name, given, plugin.value if plugin else None)


def prepared_folder(name: str) -> Path | None:
    """The folder of an offered data set in the user's cache; None if there is none, or if it was not prepared yet."""
    plugin = resolve_dataset(name, NullReporter())
    folder = None if plugin is None else cache_root() / plugin.value.folder
    return folder if folder is not None and folder.is_dir() else None
