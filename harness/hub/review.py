"""Review of pull requests: what a submission may change, and whether every row of it follows from its predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.datasets.remote import RemoteFile
from harness.errors import HarnessError
from harness.hub.boards import group_boards, lost_rows, read_files, read_remote, split_path, write_board
from harness.hub.repository import MAIN, Repository
from harness.progress import pluralize
from harness.results.artifacts import Artifacts, open_file
from harness.results.leaderboard_file import BOARD
from harness.types.leaderboard import Row
from harness.verification.verify import Verdict

Check = Callable[[Sequence[Row], Artifacts], list[Verdict]]
"""Verifies rows."""


@dataclass(frozen=True)
class Review:
    """The result of reviewing one pull request.

    Attributes:
        number: of the pull request.
        commit: that was reviewed.
        boards: that it adds or changes.
        verdicts: of all rows of these boards.
        problems: what it may not change, and what cannot be read.
    """

    number: int
    commit: str
    boards: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    problems: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not any(verdict.failing for verdict in self.verdicts)

    @property
    def summary(self) -> str:
        """One line."""
        state = "may be merged" if self.accepted else "may not be merged"
        verified = sum(verdict.status == "verified" for verdict in self.verdicts)
        rows = f"{verified} of {pluralize(len(self.verdicts), 'rows')} verified"
        where = f" in {', '.join(self.boards)}" if self.boards else ""
        return f"pull request {self.number} at {self.commit[:12]} {state}: {rows}{where}"

    @property
    def lines(self) -> list[str]:
        """The summary, and everything that is wrong."""
        wrong = [
            f"{verdict.row.title}: {problem}"
            for verdict in self.verdicts
            if verdict.failing
            for problem in verdict.problems
        ]
        return [self.summary, *self.problems, *wrong]

    @property
    def text(self) -> str:
        """The same as a comment on the pull request."""
        first, *rest = self.lines
        listed = "\n".join(rest).replace("```", "'''")
        return f"{first}\n\n```\n{listed}\n```\n" if rest else f"{first}\n"


def review(repository: Repository, number: int, check: Check) -> Review:
    """Review an open pull request against the main branch.

    It may add boards, and replace boards with ones that have at least the same rows. Everything else is a problem, and
    so is a row that is not verified.

    Raises:
        HarnessError: the Hub does not answer, or there is no such pull request.
    """
    commit, main = repository.head(f"refs/pr/{number}"), repository.head(MAIN)
    base = repository.base(commit)
    if base is None:
        return Review(number, commit, (), (), (f"it has no commit in common with {MAIN}",))
    new, old = repository.files(commit), repository.files(base)
    touched = sorted(path for path in {*new, *old} if _digest(new.get(path)) != _digest(old.get(path)))
    problems = [f"it changes {path}, which is not of a board" for path in touched if split_path(path) is None]
    names = sorted({place[0] for path in touched if (place := split_path(path))})
    if not names:
        problems.append("it changes no board")
    now, boards = group_boards(repository.files(main)), group_boards(new)
    verdicts: list[Verdict] = []
    for name in names:
        try:
            found = _verified(repository, name, boards.get(name, {}), commit, check)
            problems += _lost(repository, name, now.get(name, {}), main, [verdict.row for verdict in found])
            verdicts += found
        except HarnessError as error:
            problems.append(error.message)
    return Review(number, commit, tuple(names), tuple(verdicts), tuple(problems))


def _verified(
    repository: Repository, name: str, files: dict[str, RemoteFile], commit: str, check: Check
) -> list[Verdict]:
    with TemporaryDirectory(prefix="harness-review-") as folder:
        write_board(Path(folder), read_files(repository, name, files, commit))
        board, artifacts = open_file(Path(folder))
        return check(board.rows, artifacts)


def _lost(
    repository: Repository, name: str, files: dict[str, RemoteFile], main: str, rows: Sequence[Row]
) -> Iterator[str]:
    if BOARD in files:
        for row in lost_rows(read_remote(repository, files[BOARD], main), rows):
            yield f"board {name} would lose {row.title}"


def _digest(file: RemoteFile | None) -> str:
    return file.checksum if file else ""
