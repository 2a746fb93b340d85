"""Reading, writing and checking few-shot manifests: text files named by the sha256 of their content."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError, UserError, closest, os_reason
from harness.files import detect_placeholder, list_paths, read_file, save
from harness.parsing import MAX_VALUES, parse_record
from harness.protocols import Picks, Protocol
from harness.types.manifest import Manifest, Pick
from harness.types.split import Part, Split, TrainOn, nfc

DrawKey = tuple[str, int, int]
"""Domain, shots and seed of a draw."""


def write(folder: Path, manifest: Manifest) -> Path:
    """Write a manifest into a folder, named by its sha256.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = folder / f"{manifest.sha256}.json"
    save(path, manifest.text().encode(), "the manifest", "choose another folder with --out")
    return path


def read(path: Path) -> Manifest:
    """Read a manifest from a file of any name, also a handwritten one.

    Raises:
        DataError: the file cannot be read or is not a manifest.
    """
    problem = f"{path.name} is not a manifest"
    return parse_record(Manifest, _read_content(path), problem, "get the file again", max_values=MAX_VALUES)


def read_folder(folder: Path) -> tuple[Manifest, ...]:
    """Read all manifests of a folder.

    Raises:
        UserError: the folder has none.
        DataError: a file is not a manifest, or its content does not match its name.
    """
    paths = list_paths(folder.expanduser(), "*.json")
    if not paths:
        raise UserError(f"{folder} contains no manifests", "give a folder that `harness manifest export` wrote")
    for path in paths:
        if hashlib.sha256(_read_content(path)).hexdigest() != path.stem:
            raise DataError(
                f"the content of {path.name} does not match its name: it was changed, or written by hand",
                "get the file again, or import it as a separate draw with `harness manifest import`",
            )
    return tuple(read(path) for path in paths)


def _read_content(path: Path) -> bytes:
    try:
        content = read_file(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {os_reason(error)}", "give a manifest file") from None
    if placeholder := detect_placeholder(content):
        raise DataError(f"{path} is {placeholder}")
    return content


def select_protocol(manifests: tuple[Manifest, ...], protocol: str, folder: Path) -> dict[DrawKey, Manifest]:
    """The manifests of one protocol by domain, shots and seed.

    Raises:
        UserError: there are none, or two for the same domain, shots and seed.
    """
    found: dict[DrawKey, Manifest] = {}
    for manifest in manifests:
        key = manifest.domain, manifest.shots, manifest.seed
        if manifest.protocol == protocol and found.setdefault(key, manifest) != manifest:
            raise UserError(f"{folder} contains two draws of {protocol} for {manifest.title}", "remove one of them")
    if not found:
        others = sorted({manifest.protocol for manifest in manifests})
        near = closest(protocol, others) or others[0]
        raise UserError(
            f"{folder} contains no draw of {protocol!r}, only of {', '.join(others)}",
            f"did you mean --protocol {near}?",
        )
    return found


@dataclass(frozen=True)
class GivenDraws(Protocol):
    """Draws from manifests, made by a rule that is not known here."""

    id: str
    manifests: Mapping[DrawKey, Manifest]
    preset: str | None = None
    train_on: TrainOn = "oop"

    def pick(self, train: Split, val: Split, shots: int, seed: int) -> Picks:
        """The images of one side that the manifest lists.

        Raises:
            DataError: the data lack one of them.
        """
        return self.pick_sides([(train, val)], shots, seed)[0]

    def pick_sides(self, sides: Sequence[tuple[Split, Split]], shots: int, seed: int) -> list[Picks]:
        """The images of each side that the manifest lists; labels identify the side.

        Raises:
            DataError: the data lack one of them.
        """
        manifest = self.manifests[sides[0][0].domain, shots, seed]
        found, first = [], 0
        for train, val in sides:
            last = first + len(train.names) if len(sides) > 1 else sys.maxsize
            picks = [pick for pick in manifest.picks if first <= pick.label < last]
            found.append(_find_items(picks, {"train": train, "val": val}, manifest))
            first = last
        return found


def _find_items(picks: Sequence[Pick], parts: dict[Part, Split], manifest: Manifest) -> Picks:
    items = {part: {nfc(item.path): item for item in split.items} for part, split in parts.items()}
    picked: Picks = {part: [] for part in parts}
    for pick in picks:
        item = items.get(pick.part, {}).get(nfc(pick.path))
        if item is None:
            drawn = f"which manifest {manifest.sha256[:12]} draws"
            raise DataError(
                f"{parts['train'].folder.name} has no {pick.part} image {pick.path}, {drawn}",
                "the manifest belongs to another data set, or the data are incomplete: run `harness data check`",
            )
        picked[pick.part].append(item)
    return picked


def require_equal(made: Manifest, given: Manifest) -> None:
    """Check that a draw from the data equals the given manifest exactly.

    Raises:
        DataError: they differ; the message says where.
    """
    if made.sha256 == given.sha256:
        return
    where = f"manifest {given.sha256[:12]} of {given.title}"
    if made.names != given.names:
        raise DataError(f"{where} has other class names than the data", "use the data that it was drawn from")
    if [(p.part, p.path) for p in made.picks] != [(p.part, p.path) for p in given.picks]:
        raise DataError(
            f"{where} differs from what {given.protocol} draws from these data",
            "a draw by another rule needs another protocol name",
        )
    for mine, theirs in zip(made.picks, given.picks, strict=True):
        if mine.label != theirs.label:
            raise DataError(f"{where} has {theirs.path} under label {theirs.label}; the data say {mine.label}")
        if mine.sha256 != theirs.sha256:
            raise DataError(f"{where} was drawn from other bytes of {theirs.path}", "run `harness data check`")
    raise DataError(f"{where} is for the side {given.side}, not {made.side}", "use the protocol that it was drawn with")
