"""The record of a download: its source and commit, so that a resumed download uses the same ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from harness.datasets.disk import unsafe_reason
from harness.datasets.identity import DOWNLOAD_RECORD
from harness.errors import StorageError, UserError
from harness.files import read_error, read_file, save


@dataclass
class DownloadRecord:
    """What a destination folder contains.

    Attributes:
        repository: the source of the first download.
        revision: as given.
        commit: the commit of the revision at that time.
        folders: the folders of the repository.
    """

    repository: str
    revision: str
    commit: str
    folders: list[str]


def read_record(dest: Path, revision: str | None) -> DownloadRecord | None:
    """The record of an earlier download, or None; ``revision`` must match it unless None."""
    path = dest / DOWNLOAD_RECORD
    try:
        record = DownloadRecord(**json.loads(read_file(path)))
        record.folders = [name for name in map(str, record.folders) if not unsafe_reason(name)]
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


def write_record(dest: Path, record: DownloadRecord) -> None:
    """Write the record atomically."""
    content = json.dumps(vars(record), indent=2) + "\n"
    save(dest / DOWNLOAD_RECORD, content.encode(), "the record of the download", "choose another folder")
