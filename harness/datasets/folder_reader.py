"""Read a ``{Domain}{N}_{side}`` folder: check its split file against ``images/`` and return one Split per part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.datasets.disk import ImageTree, ProblemKind, UnusableName
from harness.datasets.layout import parse_folder_name
from harness.datasets.splitfile import OneToOne, OnProblem, SplitEntry, find_split_file, parse_entries
from harness.errors import DataError
from harness.files import PERMISSIONS_HINT
from harness.prompts import clean_name
from harness.types.split import PARTS, Item, Part, Split, nfc


@dataclass(frozen=True)
class FolderContent:
    """The checked content of a split file.

    Attributes:
        classes: label of the split file -> class name as written (NFC), sorted by label.
        items: the images of each part in the order of the split file; labels are positions in ``classes``.
        tree: the folder's ``images/``.
    """

    classes: dict[int, str]
    items: dict[Part, tuple[Item, ...]]
    tree: ImageTree


def read_splits(folder: Path) -> dict[Part, Split]:
    """The train, val and test part of a folder, with one label space over the classes of all parts.

    Labels of the split file are renumbered 0..k-1 in their order. Items keep the order of the split file. Paths are
    spelt as on disk, even if the split file uses another Unicode form. Images are not opened: missing or damaged ones
    are found by ``check_root`` or on loading.

    Raises:
        DataError: the first problem of the folder, its split file or one of its items.
    """
    folder = Path(folder)
    name = parse_folder_name(folder.name)
    if name is None:
        raise DataError(
            f"folder {folder.name!r} is not named {{Domain}}{{N}}_IP or {{Domain}}{{N}}_OOP",
            "the name gives the domain and the side, as in Animals92_OOP",
        )
    content = read_content(folder, _raise_problem)
    names = tuple(clean_name(classname) for classname in content.classes.values())
    return {part: Split(name.domain, name.side, part, names, content.items[part], folder) for part in PARTS}


def read_content(folder: Path, on_problem: OnProblem) -> FolderContent:
    """Read the split file of a folder; entries with a problem are reported and left out.

    Raises:
        DataError: the split file or ``images/`` as a whole is unusable, or no image is left.
    """
    path = find_split_file(folder)
    tree = ImageTree(folder)
    reader = _EntryChecker(tree, f"{folder.name}/{path.name}", path.name, on_problem)
    entries = list(parse_entries(path, on_problem))
    found = [(entry, image) for entry in entries if (image := reader.image_of(entry)) is not None]
    if entries and not found:
        raise DataError(
            f"no image that {folder.name}/{path.name} lists can be used",
            f"see whether images/ has them; {PERMISSIONS_HINT}",
        )
    if not found:
        raise DataError(f"{folder.name}/{path.name} lists no images", "download or unpack the folder again")
    classes = dict(sorted(reader.classes.name_of.items()))
    position = {label: i for i, label in enumerate(classes)}
    items = {part: _items(found, part, position) for part in PARTS}
    return FolderContent(classes, items, tree)


def _items(found: Iterable[tuple[SplitEntry, str]], part: Part, position: dict[int, int]) -> tuple[Item, ...]:
    return tuple(Item(image, position[e.label], e.caption, e.superclass) for e, image in found if e.part == part)


def _raise_problem(kind: ProblemKind, path: str, message: str) -> None:
    raise DataError(message, "run `harness data check` to list all problems of the folder")


class _EntryChecker:
    """Checks each entry against the disk and against earlier entries."""

    def __init__(self, tree: ImageTree, where: str, file: str, on_problem: OnProblem) -> None:
        self._tree, self._where, self._file, self._on_fault = tree, where, file, on_problem
        self.classes = OneToOne("class", "label")
        self._accepted: set[tuple[str, int]] = set()
        self._seen: dict[str, SplitEntry] = {}

    def image_of(self, entry: SplitEntry) -> str | None:
        """The path of an entry's image, or None after reporting a problem."""
        try:
            path = self._tree.path_of(entry.classname, entry.image_name)
        except UnusableName as error:
            self._on_fault(error.kind, error.path, f"{self._where}: {entry.part} item {entry.key} {error.reason}")
            return None
        reason = self._conflict(entry) or self._duplicate(entry, path)
        if reason:
            self._on_fault("split file", self._file, f"{self._where}: {entry.part} item {entry.key} {reason}")
            return None
        return path

    def _conflict(self, entry: SplitEntry) -> str | None:
        """Why class and label contradict an earlier entry, or None."""
        if (entry.classname, entry.label) in self._accepted:
            return None
        classname = nfc(entry.classname)
        if not clean_name(classname):
            return f"names class {classname!r}, which is empty after clean-up"
        reason = self.classes.conflict(classname, entry.label)
        if reason is None:
            self._accepted.add((entry.classname, entry.label))
        return reason

    def _duplicate(self, entry: SplitEntry, path: str) -> str | None:
        """Where the image is already listed, or None."""
        before = self._seen.setdefault(path, entry)
        return None if before is entry else f"lists {path} again: it is also {before.part} item {before.key}"
