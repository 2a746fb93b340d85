"""Submissions: a results folder with one row as a zip. The same row gives the same bytes."""

from __future__ import annotations

import io
import zipfile

from harness.errors import DataError
from harness.results import costs
from harness.results.artifacts import Artifacts, MissingArtifact
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
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()
