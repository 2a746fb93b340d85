"""Submissions and packed artifacts: what rows rest on, as a zip. The same rows give the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from harness.errors import DataError
from harness.files import read_file
from harness.results import costs, verification_marks
from harness.results.archive import MAX_MEMBERS, MAX_UNPACKED, PACKED
from harness.results.artifacts import Artifacts, MissingArtifact, open_file
from harness.results.leaderboard_file import BOARD
from harness.types.leaderboard import Leaderboard, Row

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def pack(row: Row, artifacts: Artifacts, cost: costs.RowCost | None = None) -> bytes:
    """The file's content: the row, and labels, predictions and draws by their hashes. Without images.

    Raises:
        DataError: something that verifying the row needs is missing or damaged.
    """
    try:
        files = {BOARD: Leaderboard(rows=(row,)).text().encode(), **artifacts.files(row)}
    except MissingArtifact as missing:
        hint = "run the row again: `harness reproduce` shows the result now"
        raise DataError(f"the row cannot be submitted: {missing}", hint) from None
    if cost is not None:
        files[costs.FILE] = costs.Costs(rows={row.id: cost}).content()
    return _zipped(files)


def packed_board(file: Path) -> tuple[Leaderboard, Artifacts, dict[str, bytes]]:
    """The rows of a leaderboard file, results folder or submission, their artifacts, and its packed files by name.

    Raises:
        UserError: there is no such file.
        DataError: it is not a leaderboard, or something that verifying a row needs is missing or damaged.
    """
    board, artifacts = open_file(file)
    files = {BOARD: board.text().encode(), PACKED: pack_artifacts(board.rows, artifacts)}
    for name in (costs.FILE, verification_marks.FILE):
        with suppress(FileNotFoundError):
            files[name] = read_file((file if file.is_dir() else file.parent) / name)
    return board, artifacts, files


def pack_artifacts(rows: Iterable[Row], artifacts: Artifacts) -> bytes:
    """The content of ``artifacts.zip``: cells, labels, predictions, draws and records of corpora of some rows.

    Raises:
        DataError: something that verifying a row needs is missing or damaged, or there is too much for one archive.
    """
    files: dict[str, bytes] = {}
    for row in rows:
        try:
            files |= artifacts.files(row)
        except MissingArtifact as missing:
            hint = "pack the results folder of the run, or run it again"
            raise DataError(f"{row.method} ({row.id}) cannot be packed: {missing}", hint) from None
    size = sum(map(len, files.values()))
    if len(files) > MAX_MEMBERS or size > MAX_UNPACKED:
        what = f"{len(files):,} files of {size / 1e6:,.0f} MB are too many for one archive"
        raise DataError(what, f"at most {MAX_MEMBERS:,} files of {MAX_UNPACKED / 1e6:,.0f} MB: pack fewer rows")
    return _zipped(files)


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()
