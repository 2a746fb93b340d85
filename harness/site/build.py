"""From leaderboard files to a folder with the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import UserError
from harness.files import save
from harness.leaderboard.published import PublishedTable
from harness.leaderboard.view import read_sources
from harness.results.leaderboard_file import BOARD
from harness.runner.data_source import prepared_folder
from harness.site.page import page
from harness.site.payload import payload
from harness.site.thumbnails import Thumbnails
from harness.types.leaderboard import Row


def build(files: Sequence[Path], out: Path, published: Sequence[PublishedTable] = (), data: Path | None = None) -> Path:
    """Write ``index.html`` into a folder; the same files give the same bytes.

    Costs, marks of verified rows, labels and predictions are read from the folder of each file, where there are any.

    Args:
        files: leaderboard files, results folders or submissions.
        out: the folder to write.
        published: printed figures to show with the rows.
        data: a data folder to take thumbnails from; by default that of an offered data set that rows are of, if it is
            in the cache.

    Raises:
        UserError: a file does not exist, or holds no row.
        DataError: a file is no leaderboard.
        StorageError: the folder cannot be written.
    """
    sources = read_sources(files)
    if not sources.rows:
        raise UserError("these files hold no row", "run `harness evaluate --plugin fsnl --all-domains` first")
    name = files[0].name if files[0].is_file() else BOARD
    root = data if data is not None else _offered(sources.rows)
    text = page(payload(sources, published, name, Thumbnails(root) if root is not None else None))
    file = out / "index.html"
    save(file, text.encode(), "the page", "choose another folder with --out")
    return file


def _offered(rows: Sequence[Row]) -> Path | None:
    """The folder of the first offered data set that a row is of and that is in the user's cache."""
    folders = (prepared_folder(name) for name in sorted({row.dataset for row in rows}))
    return next((folder for folder in folders if folder is not None), None)
