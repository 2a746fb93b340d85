"""Read leaderboard files, as named on the command line: ``FILE``, or ``FILE#ROW`` for one row."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataError, UserError, closest, os_reason
from harness.files import expand_user, read_file, reading_hint
from harness.parsing import parse_json, parse_record, parsing
from harness.results.migrate_leaderboard import migrate
from harness.results.row_facts import differing_facts, row_facts
from harness.types.leaderboard import Leaderboard, Row

BOARD = "leaderboard.json"
"""The file of rows in a results folder or submission."""

HINT = "`harness evaluate` writes results/leaderboard.json"


def read_board(path: Path) -> Leaderboard:
    """The leaderboard of a file of this or an older schema version; of a folder, its ``leaderboard.json``.

    Raises:
        UserError: there is no such file.
        DataError: it is not a leaderboard, or one of a newer version.
    """
    path = path / BOARD if path.is_dir() else path
    try:
        content = read_file(path)
    except OSError as error:
        hint = reading_hint(path, error, HINT)
        raise UserError(f"{path} cannot be read: {os_reason(error)}", hint) from None
    return parse_board(content, str(path))


def parse_board(content: bytes, where: str) -> Leaderboard:
    """The leaderboard of a file's content.

    Args:
        content: JSON of this or an older schema version.
        where: its name in errors.

    Raises:
        DataError: it is not a leaderboard, or one of a newer version.
    """
    problem = f"{where} is not a valid leaderboard"
    value = parse_json(content, problem, HINT)
    try:
        present = migrate(value)
    except DataError as error:
        raise DataError(f"{where} cannot be used: {error.message}", error.hint) from None
    rows = present.pop("rows", None)
    if not isinstance(rows, list):
        raise DataError(f"{problem}: it has no rows", HINT)
    with parsing(problem, HINT):
        Leaderboard.model_validate({**present, "rows": ()})
    return Leaderboard(rows=tuple(_row(row, f"{problem}: row {number}") for number, row in enumerate(rows, start=1)))


def row_text(row: Row) -> bytes:
    """The text of a row in a leaderboard file."""
    return b"  " + row.model_dump_json(indent=1).encode().replace(b"\n", b"\n  ")


def join_rows(rows: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """The content of a leaderboard file, as ``Leaderboard.text`` of the rows, and where each row begins in it.

    Args:
        rows: their texts, by ``row_text``.
    """
    before, _, after = Leaderboard(rows=()).text().encode().rpartition(b"[]")
    if not rows:
        return before + b"[]" + after, []
    opening, separator, closing = before + b"[\n", b",\n", b"\n ]" + after
    starts = itertools.accumulate((len(row) + len(separator) for row in rows[:-1]), initial=len(opening))
    return opening + separator.join(rows) + closing, list(starts)


def _row(value: Any, problem: str) -> Row:
    # Row by row: what a damaged one costs is bounded by the row, and not by the file.
    with parsing(problem, HINT):
        content = json.dumps(value).encode()
    return parse_record(Row, content, problem, HINT)


def split_address(address: str) -> tuple[Path, str]:
    """The file and the ROW of ``FILE#ROW``; of a folder, its ``leaderboard.json``."""
    name, _, wanted = address.rpartition("#") if "#" in address and not Path(address).exists() else (address, "", "")
    path = expand_user(Path(name))
    return path / BOARD if path.is_dir() else path, wanted


def select(rows: Sequence[Row], wanted: str, where: str) -> Row:
    """The row with an id (or its beginning), a method, or a method and shots (``fsnl@4``).

    An empty ROW selects the only row.

    Raises:
        UserError: there is none, or more than one.
    """
    method, _, shots = wanted.partition("@")
    found = [
        row
        for row in rows
        if not wanted
        or (re.fullmatch(r"[0-9a-f]{4,12}", wanted) and row.id.startswith(wanted))
        or (row.method == method and shots in ("", str(row.shots)))
    ]
    if len(found) == 1:
        return found[0]
    like = closest(method, {row.method for row in rows}) if method else None
    near = [row for row in rows if row.method == like]
    known = _described(found or near or rows)
    listed = "; ".join(known[:12]) + (f"; and {len(known) - 12} more" if len(known) > 12 else "")
    if found:
        what = f"{wanted!r} means" if wanted else "there are"
        raise UserError(f"{where}: {what} {len(found)} rows", f"add one after a #: {listed}")
    raise UserError(f"{where} has no row {wanted!r}", f"{'did you mean' if near else 'rows'}: {listed or 'none'}")


def _described(rows: Sequence[Row]) -> list[str]:
    """Id, method, shots and protocol of each row, with the facts that differ among rows of its method."""
    facts = [{"data": row.dataset, "backbone": row.backbone, "seeds": row.seeds, **row_facts(row)} for row in rows]
    same: dict[str, list[dict[str, object]]] = {}
    for row, own in zip(rows, facts, strict=True):
        same.setdefault(row.method, []).append(own)
    found = []
    for row, own in zip(rows, facts, strict=True):
        differs = differing_facts(own, same[row.method])
        found.append(f"{row.id} ({row.method}@{row.shots}, {row.protocol}{differs and ', ' + differs})")
    return found
