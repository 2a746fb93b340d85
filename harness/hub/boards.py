"""Boards in a repository: each is a packed leaderboard in a folder of its own, ``boards/NAME``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from harness.datasets.remote import RemoteFile
from harness.errors import DataError, UserError
from harness.files import MAX_BYTES, list_paths, save
from harness.hub.repository import PushOptions, Repository, changed
from harness.progress import Reporter, pluralize
from harness.results import costs, verification_marks
from harness.results.archive import MAX_BYTES as MAX_ARCHIVE
from harness.results.archive import PACKED
from harness.results.leaderboard_file import BOARD, parse_board, read_board
from harness.results.submission import packed_board
from harness.types.leaderboard import Leaderboard, Row
from harness.verification.verify import verify

FOLDER = "boards"

FILES = {
    PACKED: MAX_ARCHIVE,
    costs.FILE: MAX_BYTES,
    verification_marks.FILE: verification_marks.MAX_BYTES,
    BOARD: MAX_BYTES,
}
"""The files of a board and their largest sizes, in the order of writing: a board is whole with the last."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PATH = re.compile(rf"{FOLDER}/({_NAME.pattern})/({'|'.join(map(re.escape, FILES))})")


def split_path(path: str) -> tuple[str, str] | None:
    """The board and the file of a path in a repository; None for a path that is not of a board."""
    found = _PATH.fullmatch(path)
    return (found[1], found[2]) if found else None


def group_boards(files: Mapping[str, RemoteFile]) -> dict[str, dict[str, RemoteFile]]:
    """Board -> its files by name, of a listing; other files are left out."""
    boards: dict[str, dict[str, RemoteFile]] = {}
    for path, file in sorted(files.items()):
        if place := split_path(path):
            boards.setdefault(place[0], {})[place[1]] = file
    return boards


def push_board(
    repository: Repository, file: Path, name: str | None, options: PushOptions, report: Reporter
) -> tuple[str, str | None]:
    """Push a verified board in one commit.

    Args:
        repository: where to.
        file: leaderboard file, results folder or submission.
        name: of the board; None is the name of the folder.
        options: how.
        report: shows progress.

    Returns:
        The name of the board, and the address of the commit or pull request; None if the board is there already.

    Raises:
        UserError: the name is not valid, there are no rows, or the board that is there has rows that this one lacks.
        DataError: a row is not verified, or the Hub refuses.
    """
    name = checked_name(name or (file if file.is_dir() else file.absolute().parent).resolve().name)
    board, artifacts, packed = packed_board(file)
    if not board.rows:
        raise UserError(f"{file} has no rows", "run `harness evaluate` first")
    for row in board.rows:
        verdict = verify(row, artifacts)
        if verdict.failing:
            hint = "`harness leaderboard verify` lists all problems"
            raise DataError(f"{row.title} is not pushed: {verdict.problems[0]}", hint)
    commit = repository.head(options.revision)
    there = group_boards(repository.files(commit)).get(name, {})
    if BOARD in there:
        _require_rows(read_remote(repository, there[BOARD], commit), board.rows, f"{name} of {repository.name}")
    paths = {f"{FOLDER}/{name}/{one}": content for one, content in packed.items()}
    new = changed(paths, {f"{FOLDER}/{name}/{one}": found for one, found in there.items()})
    if not new:
        return name, None
    message = f"Board {name}: {pluralize(len(board.rows), 'rows')}"
    return name, repository.commit(new, message, commit, options, report)


def pull_boards(
    repository: Repository, out: Path, revision: str, names: Collection[str], report: Reporter
) -> list[str]:
    """Fetch boards, each into a folder of its name; one that is there is replaced as a whole.

    Args:
        repository: where from.
        out: the folder of the boards' folders.
        revision: branch, tag, commit, or pull request (``refs/pr/3``).
        names: of boards; all if there are none.
        report: shows progress.

    Returns:
        The names of the fetched boards.

    Raises:
        UserError: there is no such board, or a folder holds something else or rows that the board lacks.
        DataError: a board is not whole or not valid, or the Hub does not answer.
        StorageError: a folder cannot be written.
    """
    commit = repository.head(revision)
    boards = group_boards(repository.files(commit))
    missing = [name for name in names if name not in boards]
    if missing or not boards:
        known = f"it has {', '.join(boards)}" if boards else "`harness leaderboard push` adds one"
        what = " ".join(["board", *missing[:1]])
        raise UserError(f"{repository.name} has no {what} at {revision}", known)
    chosen = sorted(names or boards)
    with report.stage("fetching", sum(len(boards[name]) for name in chosen), "files") as advance:
        for name in chosen:
            _require_replaceable(out / name)
            content = read_files(repository, name, boards[name], commit)
            advance(len(content))
            write_board(out / name, content)
    return chosen


def read_files(repository: Repository, name: str, files: Mapping[str, RemoteFile], commit: str) -> dict[str, bytes]:
    """The content of a board's files by name; its leaderboard is valid.

    Raises:
        DataError: the board is not whole or not valid, or the Hub does not answer.
    """
    for needed in (BOARD, PACKED):
        if needed not in files:
            raise DataError(f"board {name} of {repository.name} is not whole: it has no {needed}")
    content = {one: repository.read(files[one], commit, bound) for one, bound in FILES.items() if one in files}
    parse_board(content[BOARD], f"{repository.name}/{files[BOARD].path}")
    return content


def read_remote(repository: Repository, file: RemoteFile, commit: str) -> Leaderboard:
    """The rows of a leaderboard file in a repository."""
    return parse_board(repository.read(file, commit, FILES[BOARD]), f"{repository.name}/{file.path}")


def write_board(folder: Path, content: Mapping[str, bytes]) -> None:
    """Write a board's files, the leaderboard last; without it the folder is no board.

    Raises:
        UserError: the board that is there has rows that this one lacks.
        StorageError: the folder cannot be written.
    """
    if (folder / BOARD).exists():
        _require_rows(read_board(folder), parse_board(content[BOARD], str(folder)).rows, str(folder))
        (folder / BOARD).unlink()
    for one in FILES:
        if one in content:
            save(folder / one, content[one], "the board", "choose another folder with --out")
        else:
            (folder / one).unlink(missing_ok=True)


def checked_name(name: str) -> str:
    """A board's name.

    Raises:
        UserError: it has other characters than letters, digits, ``.``, ``_`` and ``-``.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is not a name of a board", "give letters, digits, . _ and - with --name")
    return name


def lost_rows(before: Leaderboard, after: Iterable[Row]) -> list[Row]:
    """The rows of a board that a later state of it lacks, by their settings."""
    ids = {row.id for row in after}
    return [row for row in before.rows if row.id not in ids]


def _require_rows(before: Leaderboard, after: Iterable[Row], what: str) -> None:
    if lost := lost_rows(before, after):
        raise UserError(
            f"{what} has {pluralize(len(lost), 'rows')} that would be lost, such as {lost[0].title}",
            "choose another --name or --out",
        )


def _require_replaceable(folder: Path) -> None:
    """Check that a folder holds nothing but a packed board."""
    others = [path.name for path in list_paths(folder, "*") if path.name not in FILES]
    if others or (folder.exists() and not folder.is_dir()):
        raise UserError(
            f"{folder} holds something else than a packed board: {', '.join(others[:3]) or 'it is a file'}",
            "choose another folder with --out",
        )
