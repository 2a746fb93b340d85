"""Check a LAION-Beyond root: decode and hash every image, compare every label file; returns a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from harness.datasets.check_report import CheckReport, FolderReport, NameCollision, Problem, TruncatedName
from harness.datasets.collisions import TokenIds, find_name_collisions, find_token_collisions
from harness.datasets.copies import ImageIndex, ImageLocation
from harness.datasets.disk import ProblemKind
from harness.datasets.folder_reader import FolderContent, read_content
from harness.datasets.images import MAX_RATIO
from harness.datasets.inspect_images import ImageInfo, Inspect, ListedImage, inspect_in_threads
from harness.datasets.layout import (
    RELEASED,
    dataset_name,
    find_folders,
    group_by_run,
    parse_folder_name,
    unmatched_folders,
)
from harness.datasets.merged_mapping import compare_merged
from harness.datasets.nouns import noun_of
from harness.datasets.splitfile import read_json
from harness.datasets.superclasses import check_superclasses
from harness.errors import DataError, printable
from harness.prompts import Template, caption_prompt, clean_name
from harness.types.split import SIDES, Item, Part

RELEASED_IMAGES = {"oop": 106_052, "ip": 51_330}
RELEASED_CONCEPTS = {"oop": 674, "ip": 324}
"""Counts in the release's data card; its OOP folder names add up to 675."""

Progress = Callable[[str, int, int], None]
"""Callback with (folder name, processed files, total files)."""


def check_root(
    root: Path,
    progress: Progress | None = None,
    token_ids: TokenIds | None = None,
    context_length: int = 77,
    workers: int = 2,
    inspect: Inspect | None = None,
) -> CheckReport:
    """Check everything under a root and report its content and its problems.

    Args:
        root: the folder of the ``{Domain}{N}_{side}`` folders; all folders of a domain and side are checked.
        progress: called from the calling thread while images are read.
        token_ids: tokenizer; without it, truncated names and names with the same tokens are not searched.
        context_length: positions of the text tower, start and end token included.
        workers: threads that read and decode.
        inspect: does it in their place.

    Raises:
        DataError: the root is missing, is a file, cannot be read or contains no such folder.
        StorageError: images could not be read, because the machine or a process failed.
    """
    root = Path(root)
    names = find_folders(root)
    inspect = inspect or partial(inspect_in_threads, workers=workers)
    checks = [_FolderCheck(root / name) for name in names]
    infos = inspect(root, [ListedImage(check.folder.name, item.path) for check in checks for _, item in check.listed])
    images = ImageIndex()
    reports: list[FolderReport] = []
    collisions: list[NameCollision] = []
    cut: list[TruncatedName] = []
    named: dict[str, dict[str, list[str]]] = {}
    for name, check in zip(names, checks, strict=True):
        report, classes = check.report(islice(infos, len(check.listed)), images, progress)
        reports.append(report)
        collisions += find_name_collisions(name, classes)
        named.setdefault(report.domain, {})[report.folder] = classes
        if token_ids:
            cut += _find_truncated_names(report, classes, noun_of(root, report.domain), token_ids, context_length)
    return CheckReport(
        root=printable(str(root)),
        dataset=printable(dataset_name(root, names)),
        folders=tuple(reports),
        duplicates=tuple(images.duplicates()),
        near_copies=tuple(near for group in group_by_run(names) for near in images.near_copies(group)),
        name_collisions=tuple(collisions),
        token_collisions=tuple(find_token_collisions(root, named, token_ids)) if token_ids else (),
        truncated=tuple(cut),
        notes=(*(printable(found.message) for found in unmatched_folders(root)), *_release_notes(reports)),
    )


class _FolderCheck:
    """What is known of a folder before its images are read.

    Attributes:
        folder: its path.
        listed: the images of its split file with their parts; none if the folder as a whole is unusable.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listed: list[tuple[Part, Item]] = []
        self._problems: dict[tuple[str, str], Problem] = {}
        self._content: FolderContent | None = None
        try:
            self._content = read_content(folder, self._add_problem)
            check_superclasses(folder, self._add_problem)
        except DataError as error:
            self._content = None
            self._add_problem("split file", "", error.message)
        else:
            self.listed = [(part, item) for part, items in self._content.items.items() for item in items]

    def _add_problem(self, kind: ProblemKind, path: str, reason: str) -> None:
        # A missing class folder is one problem, however many images it had.
        key = (path, kind if kind == "class folder" else reason)
        self._problems.setdefault(key, Problem(path=printable(path), kind=kind, reason=printable(reason)))

    def report(
        self, infos: Iterator[ImageInfo | Problem], images: ImageIndex, progress: Progress | None
    ) -> tuple[FolderReport, list[str]]:
        """The report and the class names.

        Args:
            infos: of the listed images.
            images: to which usable images are added.
            progress: as for ``check_root``.
        """
        folder, content, parsed = self.folder, self._content, parse_folder_name(self.folder.name)
        assert parsed is not None, "find_folders returns only such names"
        report = FolderReport(
            folder=printable(folder.name), domain=parsed.domain, side=parsed.side, concepts=parsed.concepts
        )
        if content is None:
            return report.model_copy(update={"problems": tuple(self._problems.values())}), []
        notes = list(_compare_label_files(folder, content.classes, self._add_problem))
        if cut := self._add_images(infos, images, progress):
            what = f"images more than {MAX_RATIO} times as long as wide, of which only the middle is used"
            notes.append(f"{folder.name} contains {len(cut)} {what}, first {printable(cut[0])}")
        if len(content.classes) != parsed.concepts:
            notes.append(f"{folder.name} contains {len(content.classes)} classes; its name says {parsed.concepts}")
        items = [item for _, item in self.listed]
        paths = {item.path for item in items}
        notes += compare_merged(folder, paths, self._add_problem)
        unlisted = [path for path in content.tree.paths() if path not in paths and not _hidden(path)]
        counts = {
            "classes": len(content.classes),
            "images": {part: len(items) for part, items in content.items.items()},
            "captions": sum(item.caption is not None for item in items),
            "captions_with_name": count_captions_with_name(content, items),
            "problems": tuple(self._problems.values()),
            "unlisted": tuple(map(printable, unlisted)),
            "notes": tuple(notes),
        }
        return report.model_copy(update=counts), list(content.classes.values())

    def _add_images(
        self, infos: Iterator[ImageInfo | Problem], images: ImageIndex, progress: Progress | None
    ) -> list[str]:
        """Add the images or their problems; returns the paths of those of which only the middle is used."""
        cut = list[str]()
        for done, ((part, item), found) in enumerate(zip(self.listed, infos, strict=True), start=1):
            if isinstance(found, Problem):
                self._problems[(item.path, found.kind)] = found
            else:
                images.add(ImageLocation(self.folder.name, part, item.path), found.sha256, found.signature)
                if found.truncated:
                    cut.append(item.path)
            if progress:
                progress(self.folder.name, done, len(self.listed))
        return cut


def _compare_label_files(
    folder: Path, classes: dict[int, str], on_problem: Callable[[ProblemKind, str, str], None]
) -> Iterator[str]:
    """Compare label2name.json and name2label.json with the split file, if they exist; yields notes."""
    for file in ("label2name.json", "name2label.json"):
        if not (folder / file).exists():
            continue
        name = f"{folder.name}/{file}"
        try:
            content = read_json(folder / file, name)
            pairs = [(str(value), key) for key, value in content.items()]
            if file == "label2name.json":
                pairs = [(key, str(value)) for key, value in content.items()]
            labels = {int(label): clean_name(classname) for label, classname in pairs}
        except DataError as error:
            on_problem("label file", file, error.message)
            continue
        except (AttributeError, ValueError):
            on_problem("label file", file, f"{name} is not an object of labels and names")
            continue
        for label, classname in classes.items():
            if labels.get(label) != clean_name(classname):
                there = f"is {labels[label]!r}" if label in labels else "is missing"
                on_problem("label file", file, f"{name}: label {label} {there}; the split file says {classname!r}")
        if more := sorted(set(labels) - set(classes)):
            yield f"{name}: {len(more)} labels are in no part of the split file, first {more[0]} ({labels[more[0]]})"


def count_captions_with_name(content: FolderContent, items: list[Item]) -> int:
    """The number of captions that contain the name of their class."""
    names = [clean_name(classname) for classname in content.classes.values()]
    return sum(
        item.caption is not None and caption_prompt(item.caption, names[item.label]) is not None for item in items
    )


def _find_truncated_names(
    report: FolderReport, classes: list[str], noun: str, token_ids: TokenIds, context_length: int
) -> Iterator[TruncatedName]:
    for classname in classes:
        name = clean_name(classname)
        prompt = Template().fill(name, noun)
        before, keyed, _ = prompt.pieces  # text after the name may be truncated without harm
        tokens = len(token_ids(before.text + keyed.text)) + 2
        if tokens > context_length:
            yield TruncatedName(folder=report.folder, name=name, tokens=tokens, context_length=context_length)


def _release_notes(reports: list[FolderReport]) -> Iterator[str]:
    """Differences from the complete release, and folders among which a run has to choose."""
    by_place: dict[tuple[str, str], list[str]] = {}
    for report in reports:
        by_place.setdefault((report.domain, report.side), []).append(report.folder)
    for (domain, side), folders in by_place.items():
        if len(folders) > 1:
            yield f"domain {domain}, side {side} has {len(folders)} folders; a run has to choose: {', '.join(folders)}"
    if {report.folder for report in reports} != set(RELEASED):
        return
    for side in SIDES:
        mine = [report for report in reports if report.side == side]
        images, classes = sum(sum(report.images.values()) for report in mine), sum(report.classes for report in mine)
        if images != RELEASED_IMAGES[side]:
            yield f"{side.upper()} contains {images:,} images; the data card says {RELEASED_IMAGES[side]:,}"
        if classes != RELEASED_CONCEPTS[side]:
            yield f"{side.upper()} contains {classes} concepts; the data card says {RELEASED_CONCEPTS[side]}"


def _hidden(path: str) -> bool:
    return path.rpartition("/")[2].startswith((".", "Thumbs.db", "desktop.ini"))
