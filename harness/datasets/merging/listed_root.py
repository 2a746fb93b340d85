"""A data root whose files are listed with their checksums, as an import, a download or a merge leaves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.datasets.layout import dataset_name, find_folders, parse_folder_name
from harness.datasets.listing import listing_path, read_listing
from harness.datasets.remote import RemoteFile, is_inside
from harness.errors import DataError
from harness.files import read_error, walk_files
from harness.progress import pluralize
from harness.types.split import nfc


@dataclass(frozen=True)
class ListedRoot:
    """A root to merge.

    Attributes:
        path: where it is.
        folders: name of each ``{Domain}{N}_{side}`` folder -> its listed files, with paths relative to the root.
    """

    path: Path
    folders: dict[str, tuple[RemoteFile, ...]]

    @property
    def name(self) -> str:
        """The name of the data set."""
        return dataset_name(self.path, self.folders)

    @property
    def domains(self) -> set[str]:
        """The domains of its folders."""
        return {parsed.domain for folder in self.folders if (parsed := parse_folder_name(folder))}


def read_listed_root(path: Path) -> ListedRoot:
    """The folders of a root and their listings; no listed file is read.

    Raises:
        DataError: it is no root, a folder has no intact listing, or has a file that is not listed.
        StorageError: a folder cannot be read.
    """
    return ListedRoot(path, {folder: _listed_files(path, folder) for folder in find_folders(path)})


def _listed_files(root: Path, folder: str) -> tuple[RemoteFile, ...]:
    listing = read_listing(listing_path(root, folder))
    if listing is None or not all(is_inside(file.path, folder) for file in listing.files):
        raise DataError(
            f"{root} has no intact list of the checksums of {folder}",
            f"`harness data pack {root} MIRROR` and `harness data download ROOT --mirror MIRROR` make a root with one",
        )
    listed = {nfc(file.path): file for file in listing.files}
    try:
        there = [f"{folder}/{name}" for name, _ in walk_files(root / folder)]
    except OSError as error:
        raise read_error(root / folder, error) from None
    if more := [name for name in there if nfc(name) not in listed]:
        raise DataError(
            f"not in the list of checksums of {root}: {pluralize(len(more), 'files')}, first {more[0]}",
            "move them away; they came after the import or download",
        )
    return tuple(RemoteFile(path=file.path, size=file.size, checksum=file.checksum) for file in listed.values())
