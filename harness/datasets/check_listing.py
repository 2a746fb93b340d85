"""Compare a data folder with the listing of its release: files of the right size whose bytes are others."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from harness.datasets.check_report import CheckReport, FolderReport, Problem
from harness.datasets.download import REVISION
from harness.datasets.identity import read_revision
from harness.datasets.layout import find_folders
from harness.datasets.listing import find_damaged, listing_path, read_listing
from harness.datasets.remote import Remote, RemoteFile, retry
from harness.errors import printable

_TRIES = 3

Progress = Callable[[str, int, int], None]
"""Callback with (folder name, processed files, total files)."""


def add_differences(
    report: CheckReport,
    root: Path,
    remote: Remote | None = None,
    progress: Progress | None = None,
    workers: int = 2,
) -> CheckReport:
    """A report that also contains the files that differ from their listing.

    Args:
        report: the report of ``check_root``.
        root: the data root.
        remote: where to get the listings; None for those that a download stored in the root, if any.
        progress: called from the calling thread while files are read.
        workers: threads that read.

    Raises:
        DataError: the server is out of reach.
    """
    root = Path(root)
    listings = _listed_by(remote, root) if remote else _stored(root)
    names = {printable(name): name for name in find_folders(root)}
    folders, notes = [], list(report.notes)
    for folder in report.folders:
        listed = listings.get(names[folder.folder])
        if listed is not None:
            folder = _add_problems(folder, root, listed, progress, workers)
        elif remote:
            notes.append(f"{folder.folder} is not in {remote.name}, so its files are not compared")
        folders.append(folder)
    return report.model_copy(update={"folders": tuple(folders), "notes": tuple(notes)})


def _stored(root: Path) -> dict[str, Sequence[RemoteFile]]:
    found = {name: read_listing(listing_path(root, name)) for name in find_folders(root)}
    return {name: listing.files for name, listing in found.items() if listing}


def _listed_by(remote: Remote, root: Path) -> dict[str, Sequence[RemoteFile]]:
    """The listings of a server at the commit of the download, else at the newest."""
    commit = read_revision(root) or ""
    if not re.fullmatch("[0-9a-f]{40}", commit):  # not downloaded from the Hub
        commit = retry(lambda: remote.commit(REVISION), time.sleep, _TRIES)
    known = set(retry(lambda: remote.names(commit), time.sleep, _TRIES))
    folders = [name for name in find_folders(root) if name in known]
    return {name: retry(partial(remote.files, name, commit), time.sleep, _TRIES) for name in folders}


def _add_problems(
    folder: FolderReport, root: Path, listed: Sequence[RemoteFile], progress: Progress | None, workers: int
) -> FolderReport:
    def on_progress(done: int, total: int) -> None:
        if progress:
            progress(f"comparing {folder.folder}", done, total)

    known = {problem.path for problem in folder.problems}
    differing = [
        printable(file.path.partition("/")[2]) for file in find_damaged(root, listed, workers, None, on_progress)
    ]
    reason = "is missing or differs from the listed file; download or import it again"
    found = [Problem(path=path, kind="altered", reason=reason) for path in differing if path not in known]
    return folder.model_copy(update={"problems": (*folder.problems, *found)})
