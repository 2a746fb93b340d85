"""``harness data``: generate the miniature, check a data folder, download LAION-Beyond."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from harness.cli import console
from harness.datasets.check_report import CheckReport, Problem
from harness.folders import cache_root
from harness.progress import staged

SHOWN = 20
"""Printed findings of each kind; ``--json`` has all."""


def miniature(out: Path, workers: int) -> int:
    """Generate the miniature and print its path."""
    from harness.miniature.build import build

    with staged(console.reporter(), "concepts") as progress:
        root = build(out, partial(progress, "drawing beyond-mini"), workers)
    console.lines(str(root))
    return 0


def check(root: Path, context_length: int, workers: int, against_hub: bool, json: bool) -> int:
    """Validate a data folder; returns 1 if results on it would be wrong."""
    from harness.backbones import openclip
    from harness.datasets.check import check_root as run
    from harness.datasets.check_listing import add_differences
    from harness.datasets.hub import HuggingFace

    tokenizer = openclip.tokenizer("ViT-B-32")
    with staged(console.reporter(), "images") as progress:
        report = run(root, progress, tokenizer.encode, context_length, workers)
        report = add_differences(report, root, HuggingFace() if against_hub else None, progress, workers)
    if json:
        console.document(report.model_dump(mode="json"))
    else:
        _show(report)
    return 0 if report.ok else 1


def download(
    dest: Path, domains: Sequence[str] | None, revision: str | None, mirror: str | None, workers: int, offline: bool
) -> int:
    """Download and verify the data, and print their path."""
    from harness.datasets.digests import open_index
    from harness.datasets.download import REVISION
    from harness.datasets.download import download as run
    from harness.datasets.mirror import Mirror

    names = [name.strip() for text in domains or () for name in text.split(",") if name.strip()]
    reporter = console.reporter()
    with staged(reporter, "files") as progress:
        root = run(
            dest,
            names or None,
            revision or REVISION,
            offline,
            progress,
            reporter.note,
            remote=Mirror(mirror) if mirror else None,
            workers=workers,
            index=open_index(cache_root()),
        )
    console.lines(str(root))
    return 0


def pack(root: Path, out: Path) -> int:
    """Write a data folder as a mirror, and print its path."""
    from harness.datasets.mirror import pack as run

    with staged(console.reporter(), "archives") as progress:
        run(root, out, progress)
    console.lines(str(out))
    return 0


def _show(report: CheckReport) -> None:
    out = console.out()
    rows = report.rows()
    columns = list(rows[0]) if rows else ["folder"]
    out.print(console.table(f"{report.dataset}: {report.root}", columns, [[str(v) for v in r.values()] for r in rows]))
    findings = {
        "faults": [_problem(folder.folder, found) for folder in report.folders for found in folder.problems],
        "copies": [f"across {', '.join(d.across)}: {', '.join(d.paths)}" for d in report.duplicates],
        "test images that are probably a train or val image in another file": [
            f"{near.test}: {near.other} ({near.bits} of 255 bits apart)" for near in report.near_copies
        ],
        "names that are the same after clean-up": [
            f"{c.folder}: {', '.join(c.classes)}" for c in report.name_collisions
        ],
        "names that are one text to the tokenizer": [
            f"{o.domain}: {', '.join(o.names)}" for o in report.token_collisions
        ],
        "names cut at the context length": [
            f"{c.folder}: {c.name} needs {c.tokens} of {c.context_length} positions" for c in report.truncated
        ],
        "files in no part": [f"{folder.folder}/{path}" for folder in report.folders for path in folder.unlisted],
        "notes": [*report.notes, *(f"{folder.folder}: {note}" for folder in report.folders for note in folder.notes)],
    }
    for title, lines in findings.items():
        if lines:
            out.print(f"{title}: {len(lines)}", style="bold")
        for line in lines[:SHOWN]:
            out.print(f"  {line}", markup=False, soft_wrap=True)
        if len(lines) > SHOWN:
            out.print(f"  and {len(lines) - SHOWN} more; --json has all")
    out.print("no errors found" if report.ok else "results on these data would be wrong or incomplete")


def _problem(folder: str, found: Problem) -> str:
    """A problem as one line that starts with its path (the reason may already contain it)."""
    path = f"{folder}/{found.path}"
    return found.reason if found.reason.startswith(path) else f"{path}: {found.reason}"
