"""From leaderboard files to a folder with the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import UserError
from harness.files import storage_error, write_atomic
from harness.leaderboard.published import published_tables
from harness.leaderboard.view import read_sources
from harness.site.page import page
from harness.site.payload import payload


def build(files: Sequence[Path], out: Path, published: Path | None = None) -> Path:
    """Write ``index.html`` into a folder; the same files give the same bytes.

    Costs, marks of verified rows, labels and predictions are taken from beside each file where they are.

    Args:
        files: leaderboard files, results folders or submissions.
        out: the folder to write.
        published: a folder of published tables to set beside the rows.

    Raises:
        UserError: a file does not exist, or holds no row.
        DataError: a file is no leaderboard.
        StorageError: the folder cannot be written.
    """
    sources = read_sources(files)
    if not sources.rows:
        raise UserError("these files hold no row", "run `harness evaluate --plugin fsnl --all-domains` first")
    tables = published_tables(published) if published is not None else []
    name = files[0].name if files[0].is_file() else "leaderboard.json"
    text = page(payload(sources, tables, name))
    file = out / "index.html"
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(file, text.encode())
    except OSError as error:
        raise storage_error("the page", out, error, "choose another folder with --out") from None
    return file
