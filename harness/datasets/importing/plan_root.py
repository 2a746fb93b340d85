"""Plan the folders of a root from samples, and check every name, before any image is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.datasets.importing.portable_names import FileNames, unportable_reason
from harness.datasets.importing.renaming import read_renaming
from harness.datasets.importing.request import ImportRequest, Sides
from harness.datasets.importing.sample import ImageSample, Source
from harness.datasets.layout import parse_folder_name
from harness.errors import DataError, UserError
from harness.progress import pluralize
from harness.prompts import clean_name, comparable_name, find_collisions
from harness.types.split import SIDES, Side, nfc

_RENAME_HINT = "rename them in the source, or give other names with --names"


class PlannedImage(NamedTuple):
    """A sample, and its place in the root."""

    sample: ImageSample
    folder: str
    classname: str
    file: str

    @property
    def path(self) -> str:
        """Relative to the root."""
        return f"{self.folder}/images/{self.classname}/{self.file}"


@dataclass(frozen=True)
class RootPlan:
    """The images of a root.

    Attributes:
        folders: name of each folder -> its side.
        classes: folder -> its sorted classes.
        images: in the order of the source.
        notes: sentences about what is left out.
    """

    folders: dict[str, Side]
    classes: dict[str, tuple[str, ...]]
    images: tuple[PlannedImage, ...]
    notes: tuple[str, ...]


def plan_root(source: Source, request: ImportRequest) -> RootPlan:
    """The plan of a root.

    Raises:
        DataError: names are not usable, or collide.
        UserError: the domain is no folder name, or no class is out of pre-training.
    """
    require_domain(request.domain)
    rename = read_renaming(request.names) if request.names else str
    name_of = {name: nfc(rename(name)) for name in sorted({sample.classname for sample in source.samples})}
    _require_usable(name_of)
    sides = request.choose_sides(sorted(name_of.values()))
    folders = _folders(request.domain, sides)
    folder_of = {name: folder for folder, (_, names) in folders.items() for name in names}
    named = [(sample, name_of[sample.classname]) for sample in source.samples]
    images = tuple(_place([(sample, name) for sample, name in named if name in folder_of], folder_of))
    return RootPlan(
        folders={folder: side for folder, (side, _) in folders.items()},
        classes={folder: names for folder, (_, names) in folders.items()},
        images=images,
        notes=(*source.notes, *_left_out(sides)),
    )


def require_domain(domain: str) -> None:
    """Check the name of a domain.

    Raises:
        UserError: it is not the beginning of a folder name.
    """
    parsed = parse_folder_name(f"{domain}1_OOP")
    if parsed is None or parsed.domain != nfc(domain):
        raise UserError(f"domain {domain!r} ends in a digit or is empty", "choose a name such as Vehicles")
    if reason := unportable_reason(nfc(domain)):
        raise UserError(f"domain {domain!r} {reason}, so it cannot name a folder", "choose a name such as Vehicles")


def _require_usable(name_of: Mapping[str, str]) -> None:
    """Check the names of classes, from the class in the source to its name."""
    if empty := [name for name in name_of.values() if not clean_name(name)]:
        raise DataError(f"class {empty[0]!r} has no name after clean-up", _RENAME_HINT)
    if wrong := [(name, reason) for name in name_of.values() if (reason := unportable_reason(name))]:
        listed = ", ".join(f"{name!r} {reason}" for name, reason in wrong[:10])
        count = pluralize(len(wrong), "names")
        raise DataError(f"{count} cannot name a folder on every system: {listed}", _RENAME_HINT)
    if groups := find_collisions({source: comparable_name(name) for source, name in name_of.items()}):
        listed = "; ".join(", ".join(map(repr, group)) for group in groups[:10])
        raise DataError(f"classes have the same name after clean-up and without case: {listed}", _RENAME_HINT)


def _folders(domain: str, sides: Sides) -> dict[str, tuple[Side, tuple[str, ...]]]:
    """Folder -> side and sorted classes, IP before OOP."""
    found: dict[str, tuple[Side, tuple[str, ...]]] = {}
    for side in SIDES:
        names = tuple(sorted(name for name, chosen in sides.items() if chosen == side))
        if names:
            found[f"{nfc(domain)}{len(names)}_{side.upper()}"] = (side, names)
    if not any(side == "oop" for side, _ in found.values()):
        raise UserError("no class is out of pre-training", "the benchmark needs at least one OOP class")
    return found


def _place(samples: Iterable[tuple[ImageSample, str]], folder_of: dict[str, str]) -> Iterator[PlannedImage]:
    taken: dict[str, FileNames] = {}
    for sample, name in samples:
        yield PlannedImage(sample, folder_of[name], name, taken.setdefault(name, FileNames()).new(sample.file))


def _left_out(sides: Sides) -> Iterator[str]:
    if names := [name for name, side in sides.items() if side is None]:
        yield f"{pluralize(len(names), 'names')} on neither side, left out: {', '.join(names[:10])}"
