"""The files next to the domain folders of a root; mirrors and downloads have them as one more folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from harness.datasets.disk import unsafe_reason
from harness.datasets.identity import IDENTITY
from harness.datasets.layout import RECORDS, TEXTS
from harness.datasets.nouns import NOUNS_FILE
from harness.datasets.remote import is_inside
from harness.files import list_paths

ROOT_FILES = "root-files"
"""What mirrors and listings call these files together; no domain folder has such a name."""

README = "README.md"

_NAMES = (IDENTITY, NOUNS_FILE, README, TEXTS)


def find_root_files(root: Path) -> list[tuple[str, Path]]:
    """(Path relative to the root, path) of the files next to the domain folders, sorted.

    Raises:
        StorageError: a folder cannot be read.
    """
    found = [root / name for name in _NAMES] + list_paths(root / RECORDS, "*.json")
    return sorted((path.relative_to(root).as_posix(), path) for path in found if path.is_file())


def is_listed_in(path: str, folder: str) -> bool:
    """Whether a path that a server lists is one of a folder, or of the files next to the folders."""
    if folder != ROOT_FILES:
        return is_inside(path, folder)
    name = PurePosixPath(path).name
    is_record = path == f"{RECORDS}/{name}" and name.endswith(".json") and not unsafe_reason(name)
    return path in _NAMES or is_record
