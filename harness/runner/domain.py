"""One domain as the runner uses it: both sides' splits, and every file's sha256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.datasets.digests import DigestIndex
from harness.datasets.layout import Dataset
from harness.datasets.reader import read_splits
from harness.datasets.revision import revision_of
from harness.errors import DataError
from harness.prompts import hint_of
from harness.types.labels import UNREADABLE, LabelSheet, ScoredSide
from harness.types.split import Part, Split, nfc


@dataclass(frozen=True)
class DomainData:
    """A domain that was read.

    Attributes:
        name: e.g. ``Animals``.
        hint: what its concepts are called in a prompt.
        oop: the OOP side's parts.
        ip: the IP side's parts, None if the data have no IP folder for this domain.
        digests: file -> sha256 of its bytes, None for a file that cannot be read.
        sheet: the labels; its hash covers everything above.
        revision: of the data set, where a download wrote it down.
    """

    name: str
    hint: str
    oop: dict[Part, Split]
    ip: dict[Part, Split] | None
    digests: dict[Path, str | None]
    sheet: LabelSheet
    revision: str | None

    @property
    def fingerprint(self) -> str:
        """Over names, paths, labels, captions and bytes of everything above: the hash of the label sheet."""
        return self.sheet.hash

    @property
    def scored(self) -> dict[str, Split]:
        """The test part of each side whose images are scored: of ``oop``, and of ``ip`` if it has any."""
        sides = (("oop", self.oop), ("ip", self.ip))
        return {side: parts["test"] for side, parts in sides if parts is not None and parts["test"].items}

    @cached_property
    def on_disk(self) -> dict[str, str]:
        """Path in Unicode form NFC, as in manifests -> the path as it is written on disk, of the OOP side's images."""
        return {nfc(item.path): item.path for split in self.oop.values() for item in split.items}

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
    other = hashlib.sha256()
    for split in splits:
        other.update(split.fingerprint.encode())
        for item in split.items:
            other.update((digests[split.folder / item.path] or UNREADABLE).encode())
    scored = {side: _scored(s["test"], digests) for side, s in (("oop", oop), ("ip", ip)) if s and s["test"].items}
    pool = _scored(oop["train"], digests) if oop["train"].items else None
    sheet = LabelSheet(domain=name, other=other.hexdigest(), sides=scored, pool=pool)
    return DomainData(name, hint_of(name), oop, ip, digests, sheet, revision_of(dataset.root))


def _scored(split: Split, digests: dict[Path, str | None]) -> ScoredSide:
    return ScoredSide(
        folder=nfc(split.folder.name),
        names=split.names,
        paths=tuple(nfc(item.path) for item in split.items),
        sha256=tuple(digests[split.folder / item.path] or UNREADABLE for item in split.items),
        labels=tuple(item.label for item in split.items),
    )
