"""Check the superclasses of a split file for ``harness data check``; classes do not depend on them."""

from __future__ import annotations

from pathlib import Path

from harness.datasets.splitfile import OneToOne, OnProblem, find_split_file, parse_entries


def check_superclasses(folder: Path, on_problem: OnProblem) -> None:
    """Report items without a superclass if others have one, and items whose ``s_label`` contradicts an earlier item.

    Raises:
        DataError: the split file as a whole is unusable.
    """
    path = find_split_file(folder)
    entries = list(parse_entries(path, lambda *_: None))
    some, pairing = any(entry.superclass for entry in entries), OneToOne("superclass", "s_label")
    for entry in entries:
        reason = None
        if entry.superclass is None:
            reason = "has no superclass, but other items have one" if some else None
        elif entry.s_label is not None:
            reason = pairing.conflict(entry.superclass, entry.s_label)
        if reason:
            on_problem("split file", path.name, f"{folder.name}/{path.name}: {entry.part} item {entry.key} {reason}")
