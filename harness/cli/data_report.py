"""Print what the commands of ``harness data`` find."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.cli import console
from harness.cli.print_tables import print_in_parts
from harness.datasets.card.records import DataCard, FolderCard, Spread
from harness.datasets.check_report import CheckReport, Problem
from harness.datasets.importing.request import ImportReport
from harness.datasets.merging.merge_roots import MergeReport
from harness.progress import pluralize
from harness.types.split import PARTS

SHOWN = 20
"""Printed findings of each kind; ``--json`` has all."""


def show_check(report: CheckReport) -> None:
    """Print the report of a check."""
    out = console.out()
    rows = report.rows()
    columns = list(rows[0]) if rows else ["folder"]
    print_in_parts(f"{report.dataset}: {report.root}", columns, [[str(v) for v in r.values()] for r in rows])
    findings = {
        "faults": [_problem(folder.folder, found) for folder in report.folders for found in folder.problems],
        "copies": [f"across {', '.join(d.across)}: {', '.join(d.paths)}" for d in report.duplicates],
        "test images that are probably a train or val image in another file": [
            f"{near.test}: {near.other} ({near.bits} of 255 bits apart)" for near in report.near_copies
        ],
        **_collisions(report),
        "names cut at the context length": [
            f"{c.folder}: {c.name} needs {c.tokens} of {c.context_length} positions" for c in report.truncated
        ],
        "files in no part": [f"{folder.folder}/{path}" for folder in report.folders for path in folder.unlisted],
        "notes": [*report.notes, *(f"{folder.folder}: {note}" for folder in report.folders for note in folder.notes)],
    }
    _print_lists(findings)
    out.print("no errors found" if report.ok else "results on these data would be wrong or incomplete")
    if any(os.strerror(errno.EACCES) in found.reason for folder in report.folders for found in folder.problems):
        out.print("hint: some files or folders are not readable: check their permissions")
    if report.ok:
        next_command = f"next: harness evaluate --plugin zero_shot --all-domains --data {report.root}"
        out.print(next_command, markup=False, soft_wrap=True)


def _problem(folder: str, found: Problem) -> str:
    """A problem as one line that starts with its path (the reason may already contain it)."""
    path = f"{folder}/{found.path}"
    return found.reason if found.reason.startswith(path) else f"{path}: {found.reason}"


def show_import(report: ImportReport) -> None:
    """Print the report of an import, and what to do next."""
    out = console.out()
    columns = ["folder", "classes", *PARTS, "captions"]
    rows = [[f.folder, f.classes, *(f.images[part] for part in PARTS), f.captions] for f in report.folders]
    title = f"{report.domain} ({report.noun}): {report.root}"
    print_in_parts(title, columns, [[str(value) for value in row] for row in rows])
    _print_lists({"damaged images, left out": report.damaged, "notes": report.notes})
    if not report.written:
        out.print("nothing changed: the folder has this import already")
    out.print(f"next: harness data check {report.root}", markup=False, soft_wrap=True)


def show_merge(report: MergeReport) -> None:
    """Print the report of a merge, and what to do next."""
    out = console.out()
    print_in_parts(report.root, ["folder", "from"], [[folder, root] for folder, root in report.folders.items()])
    if not report.written:
        out.print("nothing changed: the folder has this merge already")
    out.print(f"next: harness data check {report.root}", markup=False, soft_wrap=True)


def show_card(card: DataCard) -> None:
    """Print the description of a data folder."""
    out = console.out()
    title = f"{card.dataset}: {card.root}"
    columns = [
        "folder",
        "classes",
        *PARTS,
        "images per class",
        "captions",
        "with name",
        "name tokens",
        "width",
        "height",
    ]
    print_in_parts(title, columns, [_card_row(folder) for folder in card.folders])
    out.print("three numbers are the smallest, the median and the largest")
    across = Counter(place for found in card.duplicates for place in found.across)
    formats = sum((Counter(folder.formats) for folder in card.folders), Counter[str]())
    _print_lists(
        {
            "formats": [f"{name}: {pluralize(count, 'images')}" for name, count in formats.most_common()],
            "groups of copies": [f"across {place}: {pluralize(count, 'groups')}" for place, count in across.items()],
            **_collisions(card),
            "images and entries that cannot be read": [
                f"{folder.folder}: {problem}" for folder in card.folders for problem in folder.problems
            ],
        }
    )


def _card_row(folder: FolderCard) -> list[str]:
    images = folder.images() or 1
    return [
        folder.folder,
        f"{len(folder.classes):,}",
        *(f"{folder.images(part):,}" for part in PARTS),
        str(Spread.of([sum(one.images.values()) for one in folder.classes])),
        f"{100 * folder.captions / images:.1f} %",
        f"{100 * folder.captions_with_name / images:.1f} %",
        str(Spread.of([one.tokens for one in folder.classes])),
        str(folder.width or "-"),
        str(folder.height or "-"),
    ]


def _collisions(found: CheckReport | DataCard) -> dict[str, list[str]]:
    return {
        "names that are the same after clean-up": [
            f"{one.folder}: {', '.join(one.classes)}" for one in found.name_collisions
        ],
        "names that are one text to the tokenizer": [
            f"{one.domain}: {', '.join(one.names)}" for one in found.token_collisions
        ],
    }


def _print_lists(findings: Mapping[str, Sequence[str]]) -> None:
    out = console.out()
    for title, lines in findings.items():
        if lines:
            out.print(f"{title}: {len(lines)}", style="bold")
        for line in lines[:SHOWN]:
            out.print(f"  {line}", markup=False, soft_wrap=True)
        if len(lines) > SHOWN:
            out.print(f"  and {len(lines) - SHOWN} more; --json has all")
