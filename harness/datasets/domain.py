"""One domain as the runner uses it: both sides' splits, and every file's sha256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from harness.datasets.digests import DigestIndex
from harness.datasets.layout import Dataset
from harness.datasets.merged import read_merged
from harness.datasets.reader import read_splits
from harness.datasets.revision import read_revision
from harness.errors import DataError
from harness.prompts import domain_hint
from harness.protocols import CleanV1, Protocol
from harness.types.labels import COPY, UNREADABLE, LabelSheet, ScoredSide
from harness.types.manifest import Pick
from harness.types.split import Item, Part, Side, Split, TrainOn, nfc

DEFAULT = CleanV1()
"""Scores the test parts, like every protocol that does not say otherwise."""


@dataclass(frozen=True)
class DomainData:
    """A domain that was read.

    Attributes:
        name: e.g. ``Animals``.
        hint: what its concepts are called in a prompt.
        oop: the OOP side's parts.
        ip: the IP side's parts, None if the data have no IP folder for this domain.
        scored: the images of each side that are scored, as the protocol chooses them.
        digests: file -> sha256 of its bytes, None for a file that cannot be read.
        sheet: the labels; its hash covers everything above.
        revision: of the data set, where a download wrote it down.
    """

    name: str
    hint: str
    oop: dict[Part, Split]
    ip: dict[Part, Split] | None
    scored: dict[str, Split]
    digests: dict[Path, str | None]
    sheet: LabelSheet
    revision: str | None

    @property
    def fingerprint(self) -> str:
        """Over names, paths, labels, captions and bytes of everything above: the hash of the label sheet."""
        return self.sheet.fingerprint

    def fitted(self, train_on: TrainOn) -> list[tuple[Split, Split]]:
        """The train and val parts of each side that methods are fitted on, OOP first.

        Raises:
            DataError: there is no such side.
        """
        sides = [] if train_on == "ip" else [self.oop]
        if train_on != "oop":
            if self.ip is None:
                raise DataError(
                    f"{self.name} has no IP folder to draw images from", "use a protocol that draws OOP images"
                )
            sides.append(self.ip)
        return [(parts["train"], parts["val"]) for parts in sides]

    def item_of(self, pick: Pick, train_on: TrainOn) -> tuple[Split, Item]:
        """The drawn image, and the train part of the folder that it lies in."""
        of_ip = train_on == "ip" or (train_on == "both" and pick.label >= len(self.oop["train"].names))
        parts = self.ip if of_ip and self.ip is not None else self.oop
        return parts["train"], self._items["ip" if of_ip else "oop"][nfc(pick.path)]

    @cached_property
    def _items(self) -> dict[str, dict[str, Item]]:
        """Side -> path in Unicode form NFC, as in manifests -> the image as the split file has it."""
        sides = {"oop": self.oop, "ip": self.ip or {}}
        return {side: {nfc(i.path): i for split in s.values() for i in split.items} for side, s in sides.items()}

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders that were read."""
        sides = [self.oop] if self.ip is None else [self.oop, self.ip]
        return tuple(side["test"].folder.name for side in sides)


def read_domain(
    dataset: Dataset,
    name: str,
    index: DigestIndex,
    workers: int,
    progress: Callable[[int], None] | None = None,
    protocol: Protocol = DEFAULT,
) -> DomainData:
    """Read one domain: split files, then the sha256 of every image (remembered between runs).

    Raises:
        DataError: there is no OOP folder, a split file is broken or lacks the labels that the protocol asks for, or the
            protocol finds no image of a side to score.
    """
    oop = protocol.relabel_oop(read_splits(dataset.folder(name, "oop")))
    ip = read_splits(folder) if (folder := dataset.domains[name].ip) is not None else None
    sides: dict[Side, dict[Part, Split]] = {"oop": oop} if ip is None else {"oop": oop, "ip": ip}
    splits = [split for parts in sides.values() for split in parts.values()]
    if not oop["test"].items:
        raise DataError(f"{oop['test'].folder.name} has no test image", "check its split file")
    chosen = protocol.scored(sides, lambda side: read_merged(sides[side]["test"].folder))
    for split in chosen.values():
        if not split.items:
            raise DataError(f"{protocol.id} finds no image of {split.folder.name} to score", "run `harness data check`")
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
    scored = {side: _scored(split, digests) for side, split in chosen.items()}
    pool = _scored(oop["train"], digests) if oop["train"].items else None
    of_ip = tuple(sorted(_readable([ip["train"]], digests) & _readable(chosen.values(), digests))) if ip else ()
    sheet = LabelSheet(domain=name, other=other.hexdigest(), sides=scored, pool=pool, copies_of_ip=of_ip)
    return DomainData(name, domain_hint(name), oop, ip, chosen, digests, sheet, read_revision(dataset.root))


def without_copies(data: DomainData) -> DomainData:
    """The domain without the scored images whose bytes stand in another image, of a train or val part of either side.

    Its sheet lists them as copies, so the fingerprint is another one where there are any.
    """
    own = {split.folder / item.path for split in data.scored.values() for item in split.items}
    parts = [split for side in (data.oop, data.ip or {}) for part, split in side.items() if part != "test"]
    seen = _readable(parts, data.digests, own)

    def left(split: Split) -> Split:
        return replace(
            split, items=tuple(item for item in split.items if data.digests[split.folder / item.path] not in seen)
        )

    sheets = {
        name: side.model_copy(update={"sha256": tuple(COPY if digest in seen else digest for digest in side.sha256)})
        for name, side in data.sheet.sides.items()
    }
    sheets = {name: side for name, side in sheets.items() if set(side.sha256) != {COPY}}
    sheet = data.sheet.model_copy(update={"sides": sheets, "copies_of_ip": ()})
    scored = {side: left(split) for side, split in data.scored.items() if side in sheets}
    return replace(data, scored=scored, sheet=sheet)


def _readable(
    splits: Iterable[Split], digests: dict[Path, str | None], but: Collection[Path] = frozenset()
) -> set[str]:
    """sha256 of the images that can be read, of other files than some."""
    files = {split.folder / item.path for split in splits for item in split.items}
    return {digest for file in files.difference(but) if (digest := digests[file]) is not None}


def _scored(split: Split, digests: dict[Path, str | None]) -> ScoredSide:
    return ScoredSide(
        folder=nfc(split.folder.name),
        names=split.names,
        paths=tuple(nfc(item.path) for item in split.items),
        sha256=tuple(digests[split.folder / item.path] or UNREADABLE for item in split.items),
        labels=tuple(item.label for item in split.items),
    )
