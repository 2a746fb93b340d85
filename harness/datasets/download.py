"""Download LAION-Beyond: resumable, pinned to one commit, every file verified by its listed digest."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path

from harness.datasets.complete_folders import find_missing, select_folders, verify_offline
from harness.datasets.digests import DigestIndex
from harness.datasets.disk import unsafe_reason
from harness.datasets.download_record import DownloadRecord, read_record, write_record
from harness.datasets.hub import HuggingFace
from harness.datasets.image_bytes import MAX_BYTES
from harness.datasets.layout import ARCHIVES, parse_folder_name
from harness.datasets.listing import Listing, find_damaged, listing_path, read_listing, write_listing
from harness.datasets.map_in_threads import map_in_threads
from harness.datasets.remote import FileFault, Remote, RemoteBusy, RemoteFile, is_inside, retry
from harness.datasets.root_files import ROOT_FILES, is_listed_in
from harness.datasets.splitfile import find_split_file, parse_entries
from harness.errors import DataError, StorageError, os_reason
from harness.files import NO_SPACE_ERRNOS, write_atomic, write_error
from harness.progress import pluralize

REVISION = "main"
"""The branch of the release; the first download resolves it to a commit and records that."""

WORKERS = 16  # most of the time of a small file is latency

_FIRST_TRIES, _TRIES = 3, 8  # fail early without a network, be patient later

Progress = Callable[[str, int, int], None]
"""Callback with (folder name, completed files, total files)."""


def download(
    dest: Path,
    domains: Sequence[str] | None = None,
    revision: str = REVISION,
    offline: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
    remote: Remote | None = None,
    workers: int = WORKERS,
    sleep: Callable[[float], None] = time.sleep,
    index: DigestIndex | None = None,
) -> Path:
    """Download LAION-Beyond (about 15 GB), or some of its domains, into ``dest`` and verify it; returns ``dest``.

    The first call resolves ``revision`` to a commit and stores it in ``dest/laion_beyond_download.json``. Every later
    call uses that commit, so a resumed download never mixes two states of the repository, even if the branch has moved.
    A file is fetched if its digest is not the listed one, and is stored only if the fetched bytes have that digest.
    The listings are stored in ``dest/.laion_beyond``, so a later call verifies a complete folder without the server. A
    file that cannot be fetched or stored does not stop the others. A listing may be incomplete; the split file decides.

    Args:
        dest: the data root; created if missing.
        domains: for example ``["Animals", "Food"]``, both sides of each; None for all.
        revision: branch, tag or commit.
        offline: do not contact the server; only verify existing files.
        progress: called from the calling thread.
        note: called with sentences for the user, such as the server's limit, before files are fetched.
        remote: the source; the Hugging Face Hub if None.
        workers: number of parallel downloads.
        sleep: function to wait, in seconds.
        index: cache of digests; without it, every existing file is read.

    Raises:
        DataError: the server is out of reach, or files are missing or damaged there; with ``offline``, here.
        StorageError: ``dest`` cannot be written or is too small.
        UserError: unknown domain, or ``dest`` contains another revision.
    """
    dest = Path(dest)
    if offline:
        verify_offline(dest, domains, workers, index)
        return dest
    record = read_record(dest, revision)
    if record is None:
        remote = remote or HuggingFace()
        record = _resolve(remote, revision, sleep)
        write_record(dest, record)
    run = _Download(dest, record.commit, remote, workers, sleep, index, progress)
    todo = {folder: run.find_damaged(folder) for folder in select_folders(record.folders, domains)}
    run.announce([file for files in todo.values() for file in files], note)
    problems = [problem for folder, files in todo.items() for problem in run.complete(folder, files)]
    if problems:
        raise DataError(
            f"{pluralize(len(problems), 'problems')} after the download, the first: {'; '.join(problems[:3])}",
            "run the same command again: it fetches only what is missing; if the problem stays, it is in the source",
        )
    return dest


class _Download:
    """The download of folders at one commit; the server is first contacted when a file is missing."""

    def __init__(
        self,
        dest: Path,
        commit: str,
        remote: Remote | None,
        workers: int,
        sleep: Callable[[float], None],
        index: DigestIndex | None,
        progress: Progress | None,
    ) -> None:
        self._dest, self._commit, self._given, self._workers = dest, commit, remote, workers
        self._sleep, self._index, self._progress = sleep, index, progress

    @cached_property
    def _remote(self) -> Remote:
        return self._given or HuggingFace()

    def find_damaged(self, folder: str) -> list[RemoteFile]:
        """The files of a folder that have to be fetched."""
        path = listing_path(self._dest, folder)
        stored = read_listing(path, self._commit)
        if stored and not self._damaged(folder, stored.files):
            return []
        listed = retry(lambda: self._remote.files(folder, self._commit), self._sleep, _TRIES)
        inside = tuple(file for file in listed if is_listed_in(file.path, folder))
        if not inside:
            raise DataError(f"the server lists no file in {folder}", "run the same command again later")
        write_listing(path, Listing(commit=self._commit, files=inside))
        return self._damaged(folder, inside)

    def announce(self, files: list[RemoteFile], note: Callable[[str], None] | None) -> None:
        """Check the free space for some files, and say what is fetched, before the first of them."""
        if not files:
            return
        size = sum(file.size for file in files)
        _check_space(self._dest, size)
        if note:
            note(f"fetching {pluralize(len(files), 'files')}, {size / 1e9:.2f} GB, from {self._remote.name}")
            if advice := self._remote.advice(files):
                note(advice)

    def complete(self, folder: str, files: list[RemoteFile]) -> list[str]:
        """Fetch files of a folder, then verify it by its split file; returns the problems."""
        images = [file for file in files if file.path.startswith(f"{folder}/images/")]
        problems = self._fetch(folder, [file for file in files if file not in images], len(files))
        images += self._unlisted_images(folder)  # the split file exists now
        problems += self._fetch(folder, images, len(files))
        return problems or find_missing(self._dest / folder)

    def _unlisted_images(self, folder: str) -> list[RemoteFile]:
        """The images of the split file that the listing lacks, looked up one by one and added to it."""
        path = listing_path(self._dest, folder)
        listing = read_listing(path, self._commit)
        known = {file.path for file in listing.files} if listing else set()
        wanted = [name for name in _images_of_split_file(self._dest / folder) if name not in known]
        if listing is None or not wanted:
            return []
        found = tuple(retry(lambda: self._remote.find(wanted, self._commit), self._sleep, _TRIES))
        found = tuple(file for file in found if file.path in wanted)
        write_listing(path, Listing(commit=self._commit, files=(*listing.files, *found)))
        return self._damaged(folder, found)

    def _damaged(self, folder: str, files: Sequence[RemoteFile]) -> list[RemoteFile]:
        progress = self._progress and partial(self._progress, f"verifying {folder}")
        return find_damaged(self._dest, files, self._workers, self._index, progress)

    def _fetch(self, folder: str, files: list[RemoteFile], total: int) -> list[str]:
        """Fetch and store files; returns the problems."""
        groups: dict[str, list[RemoteFile]] = {}
        for file in files:
            groups.setdefault(file.archive or file.path, []).append(file)
        problems, done = [], total - len(files)
        results = map_in_threads(self._fetch_group, groups.values(), self._workers)
        for group, found in zip(groups.values(), results, strict=True):
            problems += found
            done += len(group)
            if self._progress:
                self._progress(folder, done, total)
        return problems

    def _fetch_group(self, group: list[RemoteFile]) -> list[str]:
        """Fetch a file, or files of one archive; returns the problems."""
        rest = {file.path: file for file in group if file.size <= MAX_BYTES}
        problems = [f"{file.path}: the server lists {file.size:,} bytes" for file in group if file.size > MAX_BYTES]

        def fetch() -> None:
            for file, blocks in self._remote.fetch(list(rest.values()), self._commit) if rest else ():
                problem = _store(self._dest / file.path, file.verified(blocks))
                del rest[file.path]  # not before: if the connection ends early, the file is fetched again
                if problem:
                    problems.append(problem)

        try:
            retry(fetch, self._sleep, _TRIES)
        except FileFault as fault:
            problems.append(str(fault))
        except DataError as error:
            busy = error.__cause__
            if not isinstance(busy, RemoteBusy) or busy.status is None:  # no connection: no file can be fetched
                raise
            problems.append(error.message)
        return problems


def _store(path: Path, content: Iterable[bytes]) -> str | None:
    """Store a file atomically; returns why it cannot be stored, unless no other file could be either."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    except FileFault as fault:
        return str(fault)
    except OSError as error:
        if error.errno in NO_SPACE_ERRNOS:
            raise write_error("the download", path, error, "choose another disk") from None
        return f"{path} cannot be written: {os_reason(error)}"
    return None


def _images_of_split_file(folder: Path) -> list[str]:
    """Paths of the images in the split file, from the root; what is wrong with it is left to the verification."""
    try:
        entries = list(parse_entries(find_split_file(folder), lambda kind, path, reason: None))
    except DataError:
        return []
    paths = (f"{folder.name}/images/{entry.classname}/{entry.image_name}" for entry in entries)
    return [path for path in paths if path.count("/") == 3 and is_inside(path, folder.name)]


def _resolve(remote: Remote, revision: str, sleep: Callable[[float], None]) -> DownloadRecord:
    """Look up the commit of a revision and its folders."""
    commit = retry(lambda: remote.commit(revision), sleep, _FIRST_TRIES)
    names = retry(lambda: remote.names(commit), sleep, _TRIES)
    folders = sorted(name for name in names if parse_folder_name(name) and not unsafe_reason(name))
    if not folders:
        packed = sorted(name for name in names if name.endswith(ARCHIVES))
        what = f"only archives such as {packed[0]}" if packed else "no {Domain}{N}_IP or {Domain}{N}_OOP folder"
        hint = f"download and unpack them from the page of {remote.name}" if packed else "choose another revision"
        raise DataError(f"revision {revision} of {remote.name} contains {what}", hint)
    return DownloadRecord(remote.name, revision, commit, folders + [ROOT_FILES] * (ROOT_FILES in names))


def _check_space(dest: Path, needed: int) -> None:
    free = shutil.disk_usage(dest).free
    if needed > free:
        raise StorageError(
            f"{dest} has {free / 1e9:.1f} GB free; the download needs {needed / 1e9:.1f} GB more", "choose another disk"
        )
