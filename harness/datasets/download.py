"""Download LAION-Beyond from the Hub: resumable, pinned to one commit, verified by the split files."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness.datasets.disk import unsafe_reason
from harness.datasets.folder_reader import read_content
from harness.datasets.hub import REPOSITORY, Hub, HubFile, HuggingFace, retry
from harness.datasets.identity import DOWNLOAD_RECORD
from harness.datasets.layout import ARCHIVES, RELEASED, find_folders, parse_folder_name
from harness.datasets.map_in_threads import map_in_threads
from harness.datasets.splitfile import find_split_file, parse_entries
from harness.errors import DataError, StorageError, UserError, unknown_name
from harness.files import read_error, read_file, save
from harness.types.split import Side

REVISION = "main"
"""The branch of the release; the first download resolves it to a commit and records that."""

WORKERS = 4  # the Hub limits requests; more workers only reach the limit earlier

_FIRST_TRIES, _TRIES = 3, 8  # fail early without a network, be patient later

Progress = Callable[[str, int, int], None]
"""Callback with (folder name, completed files, total files)."""


@dataclass
class _Record:
    """The record in the destination folder."""

    repository: str
    revision: str
    commit: str
    folders: list[str]
    complete: list[str] = field(default_factory=list)


def download(
    dest: Path,
    domains: Sequence[str] | None = None,
    revision: str = REVISION,
    offline: bool = False,
    progress: Progress | None = None,
    hub: Hub | None = None,
    workers: int = WORKERS,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Download LAION-Beyond (about 15 GB), or some of its domains, into ``dest`` and verify it; returns ``dest``.

    The first call resolves ``revision`` to a commit and stores it in ``dest/laion_beyond_download.json``. Every later
    call uses that commit, so a resumed download never mixes two states of the repository, even if the branch has moved.
    Complete folders are skipped. A folder is complete when each file listed by the Hub has its size and each image of
    the split file exists: listings of repositories with more than 100,000 files can be truncated, so the split file
    decides.

    Args:
        dest: the data root; created if missing.
        domains: for example ``["Animals", "Food"]``, both sides of each; None for all.
        revision: branch, tag or commit.
        offline: do not contact the Hub; only verify existing files.
        progress: called from the calling thread.
        hub: the source; the Hugging Face Hub if None.
        workers: number of parallel downloads.
        sleep: function to wait, in seconds.

    Raises:
        DataError: the Hub is out of reach or lacks a file; with ``offline``, files are missing.
        StorageError: ``dest`` cannot be written or is too small.
        UserError: unknown domain, or ``dest`` contains another revision.
    """
    dest = Path(dest)
    if offline:
        _verify_offline(dest, domains)
        return dest
    record = _read_record(dest, revision)
    if record is None:
        hub = hub or HuggingFace()
        record = _resolve(hub, revision, sleep)
        _write_record(dest, record)
    for folder in _select_folders(record.folders, domains):
        if folder in record.complete and not find_missing(dest / folder):
            continue
        hub = hub or HuggingFace()
        _FolderDownload(dest, folder, record.commit, hub, workers, sleep).run(progress)
        record.complete = sorted({*record.complete, folder})
        _write_record(dest, record)
    return dest


def find_missing(folder: Path) -> list[str]:
    """Problems and missing paths of a folder by its split file; empty if it is complete."""
    found: list[str] = []
    try:
        content = read_content(folder, lambda kind, path, reason: found.append(reason))
    except DataError as error:
        return [error.message]
    existing = set(content.tree.paths())
    return found + [item.path for items in content.items.values() for item in items if item.path not in existing]


class _FolderDownload:
    """The download of one ``{Domain}{N}_{side}`` folder."""

    def __init__(
        self, dest: Path, name: str, commit: str, hub: Hub, workers: int, sleep: Callable[[float], None]
    ) -> None:
        self._dest, self._name, self._commit = dest, name, commit
        self._hub, self._workers, self._sleep = hub, workers, sleep

    def run(self, progress: Progress | None) -> None:
        """Fetch missing files, then verify the folder."""
        call = retry(lambda: self._hub.files(self._name, self._commit), self._sleep, _TRIES)
        listed = {file.path: file.size for file in call if _is_inside(file.path, self._name)}
        if not listed:
            raise DataError(f"the Hub lists no file in {self._name}", "run the same command again later")
        _check_space(self._dest, [HubFile(*pair) for pair in listed.items() if not self._has(*pair)])
        first = [path for path in listed if not path.startswith(f"{self._name}/images/")]
        self._fetch([path for path in first if not self._has(path, listed[path])], len(listed), progress)
        # The split file exists now: fetch also images that a truncated listing lacks.
        images = dict.fromkeys([path for path in listed if path not in first] + self._images_of_split_file())
        todo = [path for path in images if not self._has(path, listed.get(path))]
        self._fetch(todo, len(first) + len(images), progress)
        wrong = [path for path, size in listed.items() if not self._has(path, size)]
        if wrong := wrong + find_missing(self._dest / self._name):
            raise DataError(
                f"{self._name} is incomplete after the download: {len(wrong)} problems, the first: {wrong[0]}",
                "run the same command again; if the problem stays, it is in the repository",
            )
        self._hub.clean_up(self._name, self._dest)

    def _images_of_split_file(self) -> list[str]:
        """Repository paths of the images in the split file; unsafe names are left to the verification."""
        path = find_split_file(self._dest / self._name)
        entries = parse_entries(path, lambda kind, path, reason: None)
        return [
            f"{self._name}/images/{entry.classname}/{entry.image_name}"
            for entry in entries
            if not (unsafe_reason(entry.classname) or unsafe_reason(entry.image_name))
        ]

    def _fetch(self, paths: list[str], total: int, progress: Progress | None) -> None:
        def fetch(path: str) -> None:
            retry(lambda: self._hub.fetch(path, self._commit, self._dest), self._sleep, _TRIES)

        existing = total - len(paths)
        for done, _ in enumerate(map_in_threads(fetch, paths, self._workers), start=1):
            if progress:
                progress(self._name, existing + done, total)

    def _has(self, path: str, size: int | None) -> bool:
        """Whether a file exists, with the size that the Hub lists, if any."""
        try:
            found = (self._dest / path).stat().st_size
        except (OSError, ValueError):
            return False
        return found == size if size is not None else found > 0


def _resolve(hub: Hub, revision: str, sleep: Callable[[float], None]) -> _Record:
    """Look up the commit of a revision and its folders."""
    commit = retry(lambda: hub.commit(revision), sleep, _FIRST_TRIES)
    names = retry(lambda: hub.names(commit), sleep, _TRIES)
    folders = sorted(name for name in names if parse_folder_name(name) and not unsafe_reason(name))
    if not folders:
        packed = sorted(name for name in names if name.endswith(ARCHIVES))
        what = f"only archives such as {packed[0]}" if packed else "no {Domain}{N}_IP or {Domain}{N}_OOP folder"
        hint = f"download and unpack them from the page of {REPOSITORY}" if packed else "choose another revision"
        raise DataError(f"revision {revision} of {REPOSITORY} contains {what}", hint)
    return _Record(REPOSITORY, revision, commit, folders)


def _select_folders(folders: Iterable[str], domains: Sequence[str] | None) -> list[str]:
    """The folders of some domains (None for all), in order."""
    by_domain: dict[str, list[str]] = {}
    for folder in folders:
        if parsed := parse_folder_name(folder):
            by_domain.setdefault(parsed.domain, []).append(folder)
    for domain in domains or ():
        if domain not in by_domain:
            raise unknown_name("domain", domain, by_domain)
    chosen = by_domain if domains is None else dict.fromkeys(domains)
    return [folder for domain in chosen for folder in by_domain[domain]]


def _verify_offline(dest: Path, domains: Sequence[str] | None) -> None:
    """Raise DataError if the folders of some domains are incomplete."""
    existing = find_folders(dest)
    record = _read_record(dest, None)
    # An existing folder of another pre-training scale replaces the released one of its domain and side.
    wanted = _by_domain_and_side(record.folders if record else RELEASED) | _by_domain_and_side(existing)
    problems = []
    for folder in _select_folders(wanted.values(), domains):
        if folder not in existing:
            problems.append(f"{folder} is missing")
        elif missing := find_missing(dest / folder):
            problems.append(f"{folder} lacks {len(missing)} files, the first: {missing[0]}")
    if problems:
        shown = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more folders" if len(problems) > 3 else "")
        raise DataError(
            f"{dest} is incomplete: {shown}", "run again without --offline, or give the domains that are complete"
        )


def _by_domain_and_side(names: Iterable[str]) -> dict[tuple[str, Side], str]:
    return {(parsed.domain, parsed.side): name for name in names if (parsed := parse_folder_name(name))}


def _check_space(dest: Path, todo: list[HubFile]) -> None:
    needed, free = sum(file.size for file in todo), shutil.disk_usage(dest).free
    if needed > free:
        raise StorageError(
            f"{dest} has {free / 1e9:.1f} GB free; the folder needs {needed / 1e9:.1f} GB more", "choose another disk"
        )


def _is_inside(path: str, folder: str) -> bool:
    """Whether a path listed by the Hub stays in its folder."""
    names = PurePosixPath(path).parts
    return len(names) > 1 and names[0] == folder and not any(unsafe_reason(name) for name in names)


def _read_record(dest: Path, revision: str | None) -> _Record | None:
    """The record of an earlier download, or None; ``revision`` must match it unless None."""
    path = dest / DOWNLOAD_RECORD
    try:
        record = _Record(**json.loads(read_file(path)))
        record.folders, record.complete = [str(name) for name in record.folders], list(map(str, record.complete))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise read_error(path, error) from None
    except (ValueError, TypeError):
        raise StorageError(
            f"{path} is damaged, so the commit of this download is unknown", "delete it, and the folders next to it"
        ) from None
    if revision not in (None, record.revision, record.commit):
        raise UserError(
            f"{dest} contains revision {record.revision} (commit {record.commit[:12]}), not {revision}",
            "use another folder for another revision",
        )
    return record


def _write_record(dest: Path, record: _Record) -> None:
    """Write the record atomically."""
    content = json.dumps(vars(record), indent=2) + "\n"
    save(dest / DOWNLOAD_RECORD, content.encode(), "the record of the download", "choose another folder")
