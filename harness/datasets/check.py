"""Check a LAION-Beyond root: decode and hash every image, compare every label file; returns a report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from harness.datasets.check_report import CheckReport, FolderReport, NameCollision, Problem, TruncatedName
from harness.datasets.collisions import TokenIds, find_name_collisions, find_token_collisions
from harness.datasets.copies import ImageIndex, ImageLocation
from harness.datasets.disk import ProblemKind
from harness.datasets.folder_reader import FolderContent, read_content
from harness.datasets.image_bytes import read_bytes
from harness.datasets.images import MAX_RATIO, crop_to_middle, decode_image
from harness.datasets.layout import (
    RELEASED,
    dataset_name,
    find_folders,
    group_by_run,
    parse_folder_name,
    unmatched_folders,
)
from harness.datasets.map_in_threads import map_in_threads
from harness.datasets.merged_mapping import compare_merged
from harness.datasets.near_copies import image_signature
from harness.datasets.nouns import noun_of
from harness.datasets.splitfile import read_json
from harness.datasets.superclasses import check_superclasses
from harness.errors import DataError, printable
from harness.prompts import Template, caption_prompt, clean_name
from harness.types.split import SIDES, Item

RELEASED_IMAGES = {"oop": 106_052, "ip": 51_330}
RELEASED_CONCEPTS = {"oop": 674, "ip": 324}
"""Counts in the release's data card; its OOP folder names add up to 675."""

Progress = Callable[[str, int, int], None]
"""Callback with (folder name, processed files, total files)."""


class _ImageInfo(NamedTuple):
    """A usable image: sha256 of its bytes, its signature, and whether only its middle is used."""

    sha256: str
    signature: bytes
    truncated: bool


def check_root(
    root: Path,
    progress: Progress | None = None,
    token_ids: TokenIds | None = None,
    context_length: int = 77,
    workers: int = 2,
) -> CheckReport:
    """Check everything under a root and report its content and its problems.

    Args:
        root: the folder of the ``{Domain}{N}_{side}`` folders; all folders of a domain and side are checked.
        progress: called from the calling thread while images are read.
        token_ids: tokenizer; without it, truncated names and names with the same tokens are not searched.
        context_length: positions of the text tower, start and end token included.
        workers: threads that read and decode.

    Raises:
        DataError: the root is missing, is a file, cannot be read or contains no such folder.
    """
    root = Path(root)
    names = find_folders(root)
    images = ImageIndex()
    reports: list[FolderReport] = []
    collisions: list[NameCollision] = []
    cut: list[TruncatedName] = []
    named: dict[str, dict[str, list[str]]] = {}
    for name in names:
        report, classes = _check_folder(root / name, images, progress, workers)
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


def _check_folder(
    folder: Path, images: ImageIndex, progress: Progress | None, workers: int
) -> tuple[FolderReport, list[str]]:
    """The report of one folder and its class names; decodable images are added to ``images``."""
    parsed = parse_folder_name(folder.name)
    assert parsed is not None, "find_folders returns only such names"
    problems: dict[tuple[str, str], Problem] = {}

    def on_problem(kind: ProblemKind, path: str, reason: str) -> None:
        # A missing class folder is one problem, however many images it had.
        key = (path, kind if kind == "class folder" else reason)
        problems.setdefault(key, Problem(path=printable(path), kind=kind, reason=printable(reason)))

    report = FolderReport(
        folder=printable(folder.name), domain=parsed.domain, side=parsed.side, concepts=parsed.concepts
    )
    try:
        content = read_content(folder, on_problem)
        check_superclasses(folder, on_problem)
    except DataError as error:
        on_problem("split file", "", error.message)
        return report.model_copy(update={"problems": tuple(problems.values())}), []
    notes = list(_compare_label_files(folder, content.classes, on_problem))
    listed = [(part, item) for part, items in content.items.items() for item in items]
    infos = map_in_threads(lambda pair: _inspect_image(folder, pair[1].path), listed, workers)
    cut: list[str] = []
    for done, ((part, item), found) in enumerate(zip(listed, infos, strict=True), start=1):
        if isinstance(found, Problem):
            problems[(item.path, found.kind)] = found
        else:
            images.add(ImageLocation(folder.name, part, item.path), found.sha256, found.signature)
            if found.truncated:
                cut.append(item.path)
        if progress:
            progress(folder.name, done, len(listed))
    if cut:
        what = f"images more than {MAX_RATIO} times as long as wide, of which only the middle is used"
        notes.append(f"{folder.name} contains {len(cut)} {what}, first {printable(cut[0])}")
    if len(content.classes) != parsed.concepts:
        notes.append(f"{folder.name} contains {len(content.classes)} classes; its name says {parsed.concepts}")
    paths = {item.path for _, item in listed}
    notes += compare_merged(folder, paths, on_problem)
    counts = {
        "classes": len(content.classes),
        "images": {part: len(items) for part, items in content.items.items()},
        "captions": sum(item.caption is not None for _, item in listed),
        "captions_with_name": count_captions_with_name(content, [item for _, item in listed]),
        "problems": tuple(problems.values()),
        "unlisted": tuple(printable(path) for path in content.tree.paths() if path not in paths and not _hidden(path)),
        "notes": tuple(notes),
    }
    return report.model_copy(update=counts), list(content.classes.values())


def _inspect_image(folder: Path, path: str) -> _ImageInfo | Problem:
    """A usable image, or what is wrong with it."""
    data = None
    try:
        data = read_bytes(folder / path, path)
        image = decode_image(data, path)
    except DataError as error:
        kind: ProblemKind = _why_unreadable(folder / path) if data is None else "corrupt" if data else "empty"
        return Problem(path=printable(path), kind=kind, reason=printable(error.message.removeprefix(f"{path}: ")))
    used = crop_to_middle(image)
    return _ImageInfo(hashlib.sha256(data).hexdigest(), image_signature(used), used is not image)


def _why_unreadable(file: Path) -> ProblemKind:
    """Why a file cannot be read."""
    try:
        file.stat()
    except PermissionError:
        return "unreadable"
    except OSError:  # missing, or a broken or circular link
        return "missing"
    return "unreadable"


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
