"""Read one domain for a run: the splits of both sides, and the sha256 of every file."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from harness.datasets.digests import DigestIndex
from harness.datasets.folder_reader import read_splits
from harness.datasets.identity import read_revision
from harness.datasets.layout import Dataset
from harness.datasets.merged_mapping import read_merged
from harness.datasets.nouns import stated_nouns
from harness.errors import DataError
from harness.prompts import domain_noun
from harness.protocols import CleanV1, Protocol
from harness.types.labels import COPY, UNREADABLE, LabelSheet, ScoredSide
from harness.types.manifest import Pick
from harness.types.split import Item, Part, Side, Split, TrainOn, nfc

DEFAULT = CleanV1()
"""Scores the test parts, as most protocols do."""


@dataclass(frozen=True)
class DomainData:
    """A domain that was read from disk.

    Attributes:
        name: e.g. ``Animals``.
        noun: the word for its concepts in a prompt.
        oop: the OOP side's parts.
        ip: the IP side's parts, None if the data have no IP folder for this domain.
        scored: the images of each side that are scored, as the protocol chooses them.
        digests: file, as ``Split.file`` names it -> sha256 of its bytes, None for a file that cannot be read.
        sheet: the labels; its hash covers everything above, and a noun that the data state.
        revision: of the data set, if its folder states one.
    """

    name: str
    noun: str
    oop: dict[Part, Split]
    ip: dict[Part, Split] | None
    scored: dict[str, Split]
    digests: dict[str, str | None]
    sheet: LabelSheet
    revision: str | None

    @property
    def fingerprint(self) -> str:
        """Over names, paths, labels, captions and bytes of everything above: the hash of the label sheet."""
        return self.sheet.fingerprint

    @property
    def ip_names(self) -> tuple[str, ...]:
        """The names of the IP train part; none if there is no IP folder."""
        return () if self.ip is None else self.ip["train"].names

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
        """The train part of the drawn image's folder, and the image."""
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


@dataclass(frozen=True)
class DomainReader:
    """Reads domains of a data set for a protocol: split files, then the sha256 of every image.

    Attributes:
        dataset: the folders.
        index: stores sha256 of files between runs.
        workers: threads that read files.
        protocol: chooses the labels and the scored images.
        leave_out_copies: whether to leave out scored images that are copies of train or val images.
    """

    dataset: Dataset
    index: DigestIndex
    workers: int
    protocol: Protocol = DEFAULT
    leave_out_copies: bool = False

    def read(self, name: str) -> DomainData:
        """Read one domain.

        Raises:
            DataError: there is no OOP folder, a split file is broken or lacks the labels that the protocol asks for, or
                no image of a side is left to score.
        """
        sides = self._sides(name)
        chosen = self._scored(sides)
        splits = [split for parts in sides.values() for split in parts.values()]
        digests = self._digests(splits)
        stated = stated_nouns(self.dataset.root).get(name)
        sheet = label_sheet(name, sides, chosen, digests, stated)
        noun, revision = stated or domain_noun(name), read_revision(self.dataset.root)
        data = DomainData(name, noun, sides["oop"], sides.get("ip"), chosen, digests, sheet, revision)
        if not self.leave_out_copies:
            return data
        left = without_copies(data)
        if "oop" not in left.scored:
            raise DataError(f"{name}: every OOP test image is a copy of a train or val image")
        return left

    def _sides(self, name: str) -> dict[Side, dict[Part, Split]]:
        """The parts of each side, OOP first."""
        oop = self.protocol.relabel_oop(read_splits(self.dataset.folder(name, "oop")))
        if not oop["test"].items:
            raise DataError(f"{oop['test'].folder.name} has no test image", "check its split file")
        folder = self.dataset.domains[name].ip
        return {"oop": oop} if folder is None else {"oop": oop, "ip": read_splits(folder)}

    def _scored(self, sides: dict[Side, dict[Part, Split]]) -> dict[str, Split]:
        """The images of each side that the protocol scores."""
        chosen = self.protocol.scored(sides, lambda side: read_merged(sides[side]["test"].folder))
        for split in chosen.values():
            if not split.items:
                message = f"{self.protocol.id} finds no image of {split.folder.name} to score"
                raise DataError(message, "run `harness data check`")
        return chosen

    def _digests(self, splits: list[Split]) -> dict[str, str | None]:
        """File -> sha256, None for a file that cannot be read."""
        files = [split.file(item) for split in splits for item in split.items]
        found = self.index.digests(files, workers=self.workers)
        return {file: None if isinstance(d, DataError) else d for file, d in zip(files, found, strict=True)}


def label_sheet(
    name: str,
    sides: dict[Side, dict[Part, Split]],
    chosen: dict[str, Split],
    digests: dict[str, str | None],
    stated_noun: str | None = None,
) -> LabelSheet:
    """The labels of the scored images and of the pool; its hash covers everything that was read."""
    other = hashlib.sha256((stated_noun or "").encode())
    for parts in sides.values():
        for split in parts.values():
            other.update(split.fingerprint.encode())
            for item in split.items:
                other.update((digests[split.file(item)] or UNREADABLE).encode())
    scored = {side: _scored_side(split, digests) for side, split in chosen.items()}
    pool = _scored_side(sides["oop"]["train"], digests) if sides["oop"]["train"].items else None
    known = _readable([sides["ip"]["train"]], digests) if "ip" in sides else set()
    of_ip = tuple(sorted(known & _readable(chosen.values(), digests)))
    return LabelSheet(domain=name, other=other.hexdigest(), sides=scored, pool=pool, copies_of_ip=of_ip)


def without_copies(data: DomainData) -> DomainData:
    """The domain without scored images that are byte copies of a train or val image of either side.

    Its sheet marks them as copies, so its fingerprint differs where there are any.
    """
    own = {split.file(item) for split in data.scored.values() for item in split.items}
    parts = [split for side in (data.oop, data.ip or {}) for part, split in side.items() if part != "test"]
    seen = _readable(parts, data.digests, own)

    def left(split: Split) -> Split:
        return replace(split, items=tuple(item for item in split.items if data.digests[split.file(item)] not in seen))

    sheets = {
        name: side.model_copy(update={"sha256": tuple(COPY if digest in seen else digest for digest in side.sha256)})
        for name, side in data.sheet.sides.items()
    }
    sheets = {name: side for name, side in sheets.items() if set(side.sha256) != {COPY}}
    sheet = data.sheet.model_copy(update={"sides": sheets, "copies_of_ip": ()})
    scored = {side: left(split) for side, split in data.scored.items() if side in sheets}
    return replace(data, scored=scored, sheet=sheet)


def _readable(splits: Iterable[Split], digests: dict[str, str | None], but: Collection[str] = frozenset()) -> set[str]:
    """sha256 of the readable images, without the files in ``but``."""
    files = {split.file(item) for split in splits for item in split.items}
    return {digest for file in files.difference(but) if (digest := digests[file]) is not None}


def _scored_side(split: Split, digests: dict[str, str | None]) -> ScoredSide:
    return ScoredSide(
        folder=nfc(split.folder.name),
        names=split.names,
        paths=tuple(nfc(item.path) for item in split.items),
        sha256=tuple(digests[split.file(item)] or UNREADABLE for item in split.items),
        labels=tuple(item.label for item in split.items),
    )
