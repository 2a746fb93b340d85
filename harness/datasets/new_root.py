"""The folder that an import or a merge writes: it is new, or already has the same content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.datasets.identity import IDENTITY
from harness.datasets.listing import find_damaged
from harness.datasets.remote import RemoteFile
from harness.errors import DataError, StorageError, UserError
from harness.files import expand_user, read_error, read_file
from harness.progress import pluralize

OTHER_FOLDER = "choose another folder with --out"


def require_apart(out: Path, sources: Sequence[str]) -> None:
    """Check that neither a source nor the root is inside the other.

    Raises:
        UserError: one is.
    """
    root = out.resolve()
    for source in sources:
        folder = expand_user(Path(source)).resolve()
        if folder.is_dir() and (root.is_relative_to(folder) or folder.is_relative_to(root)):
            raise UserError(f"{out} and {source} are inside of each other", OTHER_FOLDER)


def has_data(out: Path) -> bool:
    """Whether there is a data set already; False if there is nothing, or an empty folder.

    Raises:
        StorageError: there is something else.
    """
    try:
        there = {path.name for path in out.iterdir()}
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        raise StorageError(f"{out} is a file", OTHER_FOLDER) from None
    except OSError as error:
        raise read_error(out, error) from None
    if there and IDENTITY not in there:
        raise StorageError(f"{out} exists and has no {IDENTITY}", f"{OTHER_FOLDER}; nothing was changed")
    return bool(there)


def require_folders(out: Path, folders: Sequence[str]) -> None:
    """Check that a root has the folders of an import.

    Raises:
        StorageError: one is missing.
    """
    missing = [folder for folder in folders if not (out / folder).is_dir()]
    _require(out, missing, "; `harness data merge` joins domains")


def require_content(
    out: Path,
    documents: Mapping[str, bytes],
    files: Sequence[RemoteFile],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Check that a root is what would be written.

    Args:
        out: the root.
        documents: path -> content.
        files: other files.
        workers: threads that read.
        progress: called with (files done, files in all).

    Raises:
        StorageError: it is another data set.
        DataError: files have changed.
    """
    _require(out, [path for path, content in documents.items() if _content(out / path) != content])
    if changed := find_damaged(out, files, workers, progress=progress):
        raise DataError(
            f"{pluralize(len(changed), 'files')} of {out} changed since it was written, first {changed[0].path}",
            "remove the folder and run this again",
        )


def _require(out: Path, other: Sequence[str], hint: str = "") -> None:
    if other:
        message = f"{out} exists with other content: {other[0]} differs"
        raise StorageError(message, f"remove it, or {OTHER_FOLDER}{hint}")


def _content(path: Path) -> bytes | None:
    try:
        return read_file(path)
    except OSError:
        return None
