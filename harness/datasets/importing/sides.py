"""Decide which classes are in and out of pre-training: by lists of names, or by the record of a corpus."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from harness.errors import DataError, UserError, closest
from harness.files import read_error, read_file
from harness.parsing import parsing
from harness.progress import pluralize
from harness.prompts import comparable_name
from harness.types.split import SIDES, Side

DECISIONS: Mapping[str, Side | None] = {"oop": "oop", "ip": "ip", "leave-out": None}
"""What can be done with names whose verdict is ambiguous."""


def read_names(path: Path) -> list[str]:
    """The names in a text file, one in each line; blank lines are skipped.

    Raises:
        DataError: it is not UTF-8 text, or has no name.
        StorageError: it cannot be read.
    """
    return [name for name in read_lines(path) if name]


def read_lines(path: Path) -> list[str]:
    """The names in a text file, one in each line; a blank line before the last name is an empty name.

    Raises:
        DataError, StorageError: as ``read_names``.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise read_error(path, error) from None
    with parsing(f"{path.name} is not a list of names", "write one name in each line, in UTF-8"):
        names = [line.strip() for line in content.decode("utf-8-sig").rstrip().splitlines()]
    if not names:
        raise DataError(f"{path.name} has no name", "write one name in each line")
    return names


def sides_by_lists(
    classes: Iterable[str], oop: Collection[str] | None, ip: Collection[str] | None
) -> dict[str, Side | None]:
    """The side of each class.

    With one list, all other classes are on the other side; with both, a class in neither has none and is left out;
    without a list, all classes are out of pre-training.

    Raises:
        UserError: a listed name is no class, or is in both lists.
    """
    classes = list(classes)
    listed: dict[str, Side] = {}
    for side in SIDES:
        listed |= _listed(side, {"oop": oop, "ip": ip}[side] or (), classes, listed)
    rest: Side | None = None if oop is not None and ip is not None else "oop" if oop is None else "ip"
    return {name: listed.get(comparable_name(name), rest) for name in classes}


def _listed(side: Side, names: Collection[str], classes: list[str], before: Mapping[str, Side]) -> dict[str, Side]:
    """Comparable name -> side of the names of one list."""
    known = {comparable_name(name): name for name in classes}
    if wrong := [name for name in names if comparable_name(name) not in known]:
        near = closest(wrong[0], known.values())
        raise UserError(
            f"{pluralize(len(wrong), 'names')} of the {side.upper()} list without a class: {', '.join(wrong[:10])}",
            f"did you mean {near}?" if near else "write the names as the source has them",
        )
    if twice := [name for name in names if comparable_name(name) in before]:
        raise UserError(f"in both lists: {', '.join(twice[:10])}", "a class is on one side")
    return {comparable_name(name): side for name in names}


def sides_by_verdicts(
    classes: Iterable[str], verdicts: Mapping[str, str], ambiguous: str | None = None
) -> dict[str, Side | None]:
    """The side of each class by the record of a corpus.

    Args:
        classes: the classes.
        verdicts: name -> ``oop``, ``ip`` or ``ambiguous``.
        ambiguous: what to do with ambiguous names: one of ``DECISIONS``.

    Raises:
        UserError: a class is not in the record, has two verdicts in it, or is ambiguous and nothing is decided.
    """
    classes = list(classes)
    found: dict[str, set[str]] = {}
    for name, verdict in verdicts.items():
        found.setdefault(comparable_name(name), set()).add(verdict)
    if twice := [name for name in classes if len(found.get(comparable_name(name), ())) > 1]:
        raise UserError(
            f"{pluralize(len(twice), 'names')} with several verdicts in the record: {', '.join(twice[:10])}",
            "the record has a name in two spellings; count the captions with one of them",
        )
    known = {comparable_name(name): verdict for name, verdict in verdicts.items()}
    if unknown := [name for name in classes if comparable_name(name) not in known]:
        raise UserError(
            f"{pluralize(len(unknown), 'names')} not in the record: {', '.join(unknown[:10])}",
            "count the captions with these names: `harness corpus count`",
        )
    open_names = [name for name in classes if known[comparable_name(name)] == "ambiguous"]
    if open_names and ambiguous is None:
        raise UserError(
            f"{pluralize(len(open_names), 'names')} ambiguous in the record: {', '.join(open_names[:10])}",
            f"decide with --ambiguous {', '.join(DECISIONS)}",
        )
    decided: dict[str, Side | None] = {"oop": "oop", "ip": "ip", "ambiguous": DECISIONS.get(ambiguous or "")}
    return {name: decided[known[comparable_name(name)]] for name in classes}
