"""What identifies the content of a root that the harness writes: its revision, and the listing of each folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.datasets.listing import Listing, listing_path
from harness.datasets.remote import RemoteFile


def identify(folders: Iterable[str], files: Sequence[RemoteFile]) -> tuple[str, dict[str, bytes]]:
    """The revision of a root, and path -> content of the listing of each folder.

    The revision is the sha256 over the paths and checksums of the files: images, split files and nouns.
    """
    revision = hashlib.sha256(json.dumps(sorted([file.path, file.checksum] for file in files)).encode()).hexdigest()
    listings = {}
    for folder in folders:
        own = tuple(file for file in files if file.path.startswith(f"{folder}/"))
        listing = Listing(commit=revision, files=own).model_dump_json(exclude_defaults=True)
        listings[listing_path(Path(), folder).as_posix()] = listing.encode()
    return revision, listings


def list_documents(documents: Mapping[str, bytes]) -> list[RemoteFile]:
    """Path, size and checksum of documents."""
    return [listed_file(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in documents.items()]


def listed_file(path: str, size: int, sha256: str) -> RemoteFile:
    """A file of a root."""
    return RemoteFile(path=path, size=size, checksum=f"sha256:{sha256}")
