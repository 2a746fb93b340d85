"""The listed checksums of a downloaded folder, stored with it, and the files that differ from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.datasets.digests import DigestIndex
from harness.datasets.image_bytes import large_file_digest
from harness.datasets.map_in_threads import map_short
from harness.datasets.remote import FileFault, RemoteFile
from harness.files import LIMIT_ERRNOS, LIMITS_HINT, open_regular_file, read_blocks, read_error, read_file, save
from harness.types.cell import Record

LISTINGS = ".laion_beyond"
"""A folder at the root of a download, with one listing for each folder."""

MAX_LISTING_BYTES = 1 << 28
"""A listing with more bytes is refused; that of the largest folder has about 5 MB."""


class Listing(Record):
    """The files of one ``{Domain}{N}_{side}`` folder at one commit."""

    commit: str
    files: tuple[RemoteFile, ...]


def listing_path(root: Path, folder: str) -> Path:
    """Where the listing of a downloaded folder is stored."""
    return root / LISTINGS / f"{folder}.json"


def read_listing(path: Path, commit: str | None = None) -> Listing | None:
    """A stored listing; None if it is missing, damaged or of another commit."""
    try:
        listing = Listing.model_validate_json(read_file(path, MAX_LISTING_BYTES))
    except (OSError, ValueError):
        return None
    return listing if commit in (None, listing.commit) else None


def write_listing(path: Path, listing: Listing) -> None:
    """Store a listing atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    content = listing.model_dump_json(exclude_defaults=True).encode()
    save(path, content, "the listing of a folder", "choose another folder")


def find_damaged(
    root: Path,
    files: Sequence[RemoteFile],
    workers: int,
    index: DigestIndex | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[RemoteFile]:
    """The files that are missing under ``root`` or have another content.

    Args:
        root: the data root.
        files: the listed files.
        workers: threads that read.
        index: known digests; without it, every file is read.
        progress: called with (processed files, total files) from the calling thread.
    """
    sized = [file for file in files if _has_size(root / file.path, file.size)]
    digests: dict[str, str | None] = {}
    if index:
        hashed = [file for file in sized if file.checksum.startswith("sha256:")]
        found = index.digests([root / file.path for file in hashed], workers, progress, large_file_digest)
        digests = {f.path: f"sha256:{d}" if isinstance(d, str) else None for f, d in zip(hashed, found, strict=True)}
    rest = [file for file in sized if file.path not in digests]
    read = map_short(lambda file: is_intact(root, file), rest, workers)
    for done, (file, intact) in enumerate(zip(rest, read, strict=True), start=1):
        digests[file.path] = file.checksum if intact else None
        if progress and not index:
            progress(done, len(rest))
    return [file for file in files if digests.get(file.path) != file.checksum]


def is_intact(root: Path, file: RemoteFile, on_block: Callable[[bytes], object] = len) -> bool:
    """Whether a file under ``root`` is there with the listed content; ``on_block`` is called with each block of it.

    Raises:
        StorageError: this process has no file or memory left to open it with.
    """
    try:
        with open_regular_file(root / file.path) as content:
            for block in file.verified(read_blocks(content)):
                on_block(block)
    except FileFault:
        return False
    except OSError as error:
        if error.errno in LIMIT_ERRNOS:  # nothing is wrong with the file
            raise read_error(root / file.path, error, LIMITS_HINT) from None
        return False
    return True


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except (OSError, ValueError):
        return False
