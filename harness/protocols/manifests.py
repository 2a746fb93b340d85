"""Folders of few-shot draws: plain text files, each named by the sha256 of its content, as they lie beside results."""

from __future__ import annotations

import codecs
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.errors import DataError, UserError, closest, os_reason
from harness.files import listed, read_file, save, stand_in
from harness.protocols import Picks, Protocol
from harness.types.manifest import Manifest, Pick
from harness.types.split import Part, Split, TrainOn, nfc

Key = tuple[str, int, int]
"""Domain, shots and seed of a draw."""


def write(folder: Path, manifest: Manifest) -> Path:
    """Put a draw into a folder, under its hash.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = folder / f"{manifest.hash}.json"
    save(path, manifest.text().encode(), "the manifest", "choose another folder with --out")
    return path


def read(path: Path) -> Manifest:
    """A draw from a file of any name, written by us or by hand.

    Raises:
        DataError: the file cannot be read or is no manifest.
    """
    try:
        return Manifest.model_validate_json(_content(path).removeprefix(codecs.BOM_UTF8))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{path.name} is no manifest: {where}: {first['msg'].lower()}", "get the file again") from None


def read_folder(folder: Path) -> tuple[Manifest, ...]:
    """All draws of a folder.

    Raises:
        UserError: there are none.
        DataError: a file is no manifest, or its content is not what its name says.
    """
    paths = listed(folder.expanduser(), "*.json")
    if not paths:
        raise UserError(f"{folder} holds no manifests", "give a folder that `harness manifest export` wrote")
    for path in paths:
        if hashlib.sha256(_content(path)).hexdigest() != path.stem:
            raise DataError(
                f"{path.name} is not what its name says: it was changed, or written by hand",
                "get the file again, or take it over as a draw of its own with `harness manifest import`",
            )
    return tuple(read(path) for path in paths)


def _content(path: Path) -> bytes:
    try:
        content = read_file(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {os_reason(error)}", "give a manifest file") from None
    if instead := stand_in(content):
        raise DataError(f"{path} is {instead}")
    return content


def of_protocol(manifests: tuple[Manifest, ...], protocol: str, folder: Path) -> dict[Key, Manifest]:
    """The draws that one protocol made.

    Raises:
        UserError: there are none, or two for the same domain, shots and seed.
    """
    found: dict[Key, Manifest] = {}
    for manifest in manifests:
        key = manifest.domain, manifest.shots, manifest.seed
        if manifest.protocol == protocol and found.setdefault(key, manifest) != manifest:
            what = f"{manifest.domain}, {manifest.shots} shots, seed {manifest.seed}"
            raise UserError(f"{folder} holds two draws of {protocol} for {what}", "remove one of them")
    if not found:
        others = sorted({manifest.protocol for manifest in manifests})
        near = closest(protocol, others) or others[0]
        raise UserError(
            f"{folder} holds no draw of {protocol!r}, but of {', '.join(others)}", f"did you mean --protocol {near}?"
        )
    return found


@dataclass(frozen=True)
class Given(Protocol):
    """Draws that somebody else made, by a rule that is not known here."""

    id: str
    manifests: Mapping[Key, Manifest]
    preset: str | None = None
    train_on: TrainOn = "oop"

    def pick(self, train: Split, val: Split, shots: int, seed: int) -> Picks:
        """The images that the manifest names, of one side.

        Raises:
            DataError: the data do not have one of them.
        """
        return self.pick_sides([(train, val)], shots, seed)[0]

    def pick_sides(self, sides: Sequence[tuple[Split, Split]], shots: int, seed: int) -> list[Picks]:
        """The images that the manifest names; of several sides the labels tell which side an image is of.

        Raises:
            DataError: the data do not have one of them.
        """
        manifest = self.manifests[sides[0][0].domain, shots, seed]
        found, first = [], 0
        for train, val in sides:
            last = first + len(train.names) if len(sides) > 1 else sys.maxsize
            picks = [pick for pick in manifest.picks if first <= pick.label < last]
            found.append(_held(picks, {"train": train, "val": val}, manifest))
            first = last
        return found


def _held(picks: Sequence[Pick], parts: dict[Part, Split], manifest: Manifest) -> Picks:
    held = {part: {nfc(item.path): item for item in split.items} for part, split in parts.items()}
    picked: Picks = {part: [] for part in parts}
    for pick in picks:
        item = held.get(pick.part, {}).get(nfc(pick.path))
        if item is None:
            drawn = f"which manifest {manifest.hash[:12]} draws"
            raise DataError(
                f"{parts['train'].folder.name} has no {pick.part} image {pick.path}, {drawn}",
                "the manifest is of another data set, or the data are not whole: run `harness data check`",
            )
        picked[pick.part].append(item)
    return picked


def require_equal(made: Manifest, given: Manifest) -> None:
    """See that a draw from the data is the given one, to the last byte.

    Raises:
        DataError: it is not; the sentence says where they part.
    """
    if made.hash == given.hash:
        return
    where = f"manifest {given.hash[:12]} of {given.domain}, {given.shots} shots, seed {given.seed}"
    if made.names != given.names:
        raise DataError(f"{where} is of other class names than the data have", "use the data that it was drawn from")
    if [(p.part, p.path) for p in made.picks] != [(p.part, p.path) for p in given.picks]:
        raise DataError(
            f"{where} is not what {given.protocol} draws from these data",
            "a draw of another rule needs a protocol name of its own",
        )
    for mine, theirs in zip(made.picks, given.picks, strict=True):
        if mine.label != theirs.label:
            raise DataError(f"{where} has {theirs.path} under label {theirs.label}; the data say {mine.label}")
        if mine.sha256 != theirs.sha256:
            raise DataError(f"{where} was drawn from other bytes of {theirs.path}", "run `harness data check`")
    raise DataError(f"{where} is of the side {given.side}, not {made.side}", "use the protocol that it was drawn by")
