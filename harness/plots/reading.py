"""Leaderboard files as they are given on a command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from harness.errors import DataError, UserError
from harness.types.leaderboard import Leaderboard, Row


def read_rows(files: Iterable[Path]) -> list[Row]:
    """The rows of some files; a row that stands in several counts once.

    Raises:
        UserError: a file does not exist.
        DataError: a file is no leaderboard.
    """
    found: dict[str, Row] = {}
    for file in files:
        for row in _board(file).rows:
            found.setdefault(row.model_dump_json(), row)
    return list(found.values())


def _board(file: Path) -> Leaderboard:
    try:
        return Leaderboard.model_validate_json(file.read_bytes())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(
            f"{file} cannot be read: {reason}", "`harness evaluate` writes results/leaderboard.json"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(
            f"{file} is no leaderboard: {where}: {first['msg'].lower()}", "give a file that `harness evaluate` wrote"
        ) from None


def one_setting(
    rows: Sequence[Row], protocol: str | None = None, dataset: str | None = None, backbone: str | None = None
) -> list[Row]:
    """The rows of one setting: what is compared in a figure was measured by the same rule on the same data and model.

    Raises:
        UserError: none is left, or more than one setting is.
    """
    wanted = {"--protocol": protocol, "--dataset": dataset, "--backbone": backbone}
    chosen = [
        row for row in rows if all(v in (None, own) for v, own in zip(wanted.values(), _setting(row), strict=True))
    ]
    if not chosen:
        asked = " ".join(f"{option} {value}" for option, value in wanted.items() if value)
        known = "; ".join(sorted({" ".join(_setting(row)) for row in rows}))
        raise UserError(f"no row {'matches ' + asked if asked else 'in these files'}", f"known: {known or 'none'}")
    for option, values in zip(wanted, zip(*map(_setting, chosen), strict=True), strict=True):
        if len(set(values)) > 1:
            raise UserError(
                f"the rows differ in what a figure must have in common: {', '.join(sorted(set(values)))}",
                f"choose one with {option}",
            )
    return chosen


def _setting(row: Row) -> tuple[str, str, str]:
    return row.protocol, row.dataset, row.backbone
