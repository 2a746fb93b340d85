"""One domain as the runner uses it: both sides' splits, and every file's sha256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.datasets.digests import DigestIndex
from harness.datasets.layout import Dataset
from harness.datasets.reader import read_splits
from harness.errors import DataError
from harness.prompts import hint_of
from harness.types.split import Part, Split


@dataclass(frozen=True)
class DomainData:
    """A domain that was read.

    Attributes:
        name: e.g. ``Animals``.
        hint: what its concepts are called in a prompt.
        oop: the OOP side's parts.
        ip: the IP side's parts, None if the data have no IP folder for this domain.
        digests: file -> sha256 of its bytes, None for a file that cannot be read.
        fingerprint: over names, paths, labels, captions and bytes of everything above.
    """

    name: str
    hint: str
    oop: dict[Part, Split]
    ip: dict[Part, Split] | None
    digests: dict[Path, str | None]
    fingerprint: str

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders that were read."""
        sides = [self.oop] if self.ip is None else [self.oop, self.ip]
        return tuple(side["test"].folder.name for side in sides)


def read_domain(
    dataset: Dataset, name: str, index: DigestIndex, workers: int, progress: Callable[[int], None] | None = None
) -> DomainData:
    """Read one domain: split files, then the sha256 of every image (remembered between runs).

    Raises:
        DataError: there is no OOP folder, or a split file is broken.
    """
    oop = read_splits(dataset.folder(name, "oop"))
    ip = read_splits(folder) if (folder := dataset.domains[name].ip) is not None else None
    splits = [split for side in (oop, ip) if side is not None for split in side.values()]
    if not oop["test"].items:
        raise DataError(f"{oop['test'].folder.name} has no test image", "check its split file")
    files = [split.folder / item.path for split in splits for item in split.items]
    found = index.digests(files, workers=workers)
    digests = {file: None if isinstance(d, DataError) else d for file, d in zip(files, found, strict=True)}
    if progress is not None:
        progress(1)
    content = hashlib.sha256()
    for split in splits:
        content.update(split.fingerprint.encode())
        for item in split.items:
            content.update((digests[split.folder / item.path] or "unreadable").encode())
    return DomainData(name, hint_of(name), oop, ip, digests, content.hexdigest())
