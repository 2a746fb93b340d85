"""One part of a LAION-Beyond folder: its class names, and its images with labels and captions."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from harness.errors import DataError

Side = Literal["ip", "oop"]
TrainOn = Literal["oop", "ip", "both"]
"""The sides whose names and labelled images methods are fitted on; for ``both`` the OOP names come first."""

Part = Literal["train", "val", "test"]
SIDES: tuple[Side, ...] = get_args(Side)
PARTS: tuple[Part, ...] = get_args(Part)


def nfc(text: str) -> str:
    """A name or path in Unicode form NFC, because macOS may unpack the same archive into another form."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a split.

    Attributes:
        path: relative to the folder, with forward slashes: ``images/<class>/<file>``.
        label: position of its class in ``Split.names``.
        caption: the caption in the split file, or None.
        superclass: the superclass in the split file after clean-up, or None.
    """

    path: str
    label: int
    caption: str | None = None
    superclass: str | None = None


@dataclass(frozen=True)
class Split:
    """One part of one folder, checked once when it is made.

    Attributes:
        domain: e.g. ``Animals``.
        side: ``ip`` (in pre-training) or ``oop`` (out of pre-training).
        part: ``train``, ``val`` or ``test``.
        names: class names after clean-up; position = label.
        items: the images in the order of the split file.
        folder: current location of the folder; not part of the identity.
        fingerprint: sha256 over everything above except ``folder`` and superclasses: content, not location or time.

    Raises:
        DataError: a label has no name, or two names are the same after clean-up.
    """

    domain: str
    side: Side
    part: Part
    names: tuple[str, ...]
    items: tuple[Item, ...]
    folder: Path = field(compare=False)
    fingerprint: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        where = f"{self.domain} {self.side} {self.part}"
        seen: dict[str, int] = {}
        for label, name in enumerate(self.names):
            if name in seen:
                raise DataError(
                    f"{where}: labels {seen[name]} and {label} have the same name {name!r} after clean-up",
                    "rename one of them in the split file and in label2name.json",
                )
            seen[name] = label
        for item in self.items:
            if not 0 <= item.label < len(self.names):
                raise DataError(f"{where}: {item.path} has label {item.label}, but there are {len(self.names)} names")
        items = [(nfc(i.path), i.label, i.caption) for i in self.items]
        content = [self.domain, self.side, self.part, self.names, items]
        digest = hashlib.sha256(json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()
        object.__setattr__(self, "fingerprint", digest)

    def file(self, item: Item) -> str:
        """The path of an image's file; a text, because ``Path`` objects are slow to make and to compare."""
        return f"{self.folder}/{item.path}"

    def group_by_label(self) -> dict[int, list[Item]]:
        """Label -> its items, labels in order of first appearance (as the released draw needs it)."""
        groups: dict[int, list[Item]] = {}
        for item in self.items:
            groups.setdefault(item.label, []).append(item)
        return groups


def relabel_by_superclass(parts: dict[Part, Split]) -> dict[Part, Split]:
    """Replace classes by superclasses, sorted by name, and drop captions.

    Images are grouped by the superclass name; ``s_label`` is ignored. Captions are dropped because they name classes,
    as in the released code.

    Raises:
        DataError: an image has no superclass.
    """
    found = {item.path: item.superclass for split in parts.values() for item in split.items}
    if lacking := [path for path, superclass in found.items() if superclass is None]:
        of_which = "" if len(lacking) == len(found) else f" of {len(lacking)} of its images, the first is {lacking[0]}"
        raise DataError(
            f"the split file of {parts['test'].folder.name} has no superclass{of_which}",
            "use a protocol of class names",
        )
    names = tuple(sorted({superclass for superclass in found.values() if superclass is not None}))
    label_of = {name: label for label, name in enumerate(names)}
    return {
        part: replace(
            split,
            names=names,
            items=tuple(Item(item.path, label_of[item.superclass or ""]) for item in split.items),
        )
        for part, split in parts.items()
    }
