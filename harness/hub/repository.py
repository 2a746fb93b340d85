"""A data set repository on the Hugging Face Hub: files at a commit, commits and pull requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from harness.datasets.hub import MISSING_HINT, HuggingFace, translate_errors
from harness.datasets.remote import FileFault, RemoteBusy, RemoteFile, retry
from harness.errors import DataError
from harness.progress import Reporter

T = TypeVar("T")

MAIN = "main"

TRIES = 4

Visibility = Literal["public", "private"]

_NETWORK_HINT = "check the network, and run the same command again"
_CONFLICTS = (409, 412)


@dataclass(frozen=True)
class PushOptions:
    """How something is pushed.

    Attributes:
        revision: the branch to push to or to open a pull request against, or a pull request to add to.
        pull_request: whether to open one.
    """

    revision: str = MAIN
    pull_request: bool = False


class Repository:
    """Reads and writes one repository; errors are sentences.

    Args:
        name: owner and name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._remote = HuggingFace(name)

    def head(self, revision: str) -> str:
        """The commit of a branch, a tag or a pull request (``refs/pr/3``).

        Raises:
            DataError: there is none, or the Hub does not answer.
        """
        try:
            return self._ask(lambda: self._remote.commit(revision))
        except DataError as error:
            hint = "check the name and `hf auth whoami`; the owner makes a repository by pushing with --create"
            raise DataError(error.message, hint if error.hint == MISSING_HINT else error.hint) from error

    def create(self, visibility: Visibility) -> None:
        """Create the repository, unless there is one of that name.

        Raises:
            DataError: it cannot be created.
        """
        api = self._remote.api
        self._ask(
            lambda: api.create_repo(self.name, repo_type="dataset", private=visibility == "private", exist_ok=True)
        )

    def files(self, commit: str) -> dict[str, RemoteFile]:
        """All files at a commit, by path."""
        return {file.path: file for file in self._ask(lambda: self._remote.files("", commit))}

    def read(self, file: RemoteFile, commit: str, max_bytes: int) -> bytes:
        """The content of a file; one that is not the listed content is an error.

        Raises:
            DataError: it cannot be fetched, or has more than ``max_bytes`` bytes.
        """
        if file.size > max_bytes:
            raise DataError(f"{self.name}/{file.path} has more than {max_bytes:,} bytes", "it is not read")

        def fetch() -> bytes:
            return b"".join(
                block for _, blocks in self._remote.fetch([file], commit) for block in file.verified(blocks)
            )

        try:
            return self._ask(fetch)
        except FileFault as fault:
            raise DataError(f"{self.name}: {fault}", _NETWORK_HINT) from fault

    def commit(
        self, files: Mapping[str, bytes | Path], message: str, parent: str, options: PushOptions, report: Reporter
    ) -> str:
        """Add or replace files in one commit; until it is made, nothing of them is visible. Returns its address.

        Args:
            files: path in the repository -> content, or the file that has it.
            message: first line of the commit.
            parent: the commit that the files were compared with.
            options: where to.
            report: shows progress.

        Raises:
            DataError: the user may not write, the branch has moved, or the Hub does not answer.
        """
        from huggingface_hub import CommitOperationAdd

        added = [CommitOperationAdd(path, str(c) if isinstance(c, Path) else c) for path, c in sorted(files.items())]
        where = {"repo_type": "dataset", "revision": options.revision, "create_pr": options.pull_request}
        api = self._remote.api
        try:
            with translate_errors(f"{self.name} for writing"), report.stage("uploading", len(added), "files") as step:
                for one in added:
                    api.preupload_lfs_files(self.name, [one], free_memory=False, **where)  # type: ignore[arg-type]
                    step(1)
                made = api.create_commit(  # type: ignore[call-overload]
                    self.name, added, commit_message=message, parent_commit=parent, **where
                )
                return str(made.pr_url or made.commit_url)
        except RemoteBusy as busy:
            if busy.status in _CONFLICTS:
                again = "run the same command again: it compares with the new state"
                raise DataError(f"{options.revision} of {self.name} has changed since the start", again) from busy
            raise DataError(f"nothing was pushed: {busy.reason}", _NETWORK_HINT) from busy
        except DataError as error:
            hint = (
                "log in with a token that may write (`hf auth login`); --pr asks for a review and needs no permission"
            )
            raise DataError(error.message, hint) from error

    def pull_requests(self) -> list[int]:
        """The numbers of the open pull requests."""
        asked = {"discussion_type": "pull_request", "discussion_status": "open", "repo_type": "dataset"}
        listed = self._remote.api.get_repo_discussions
        return self._ask(lambda: sorted(one.num for one in listed(self.name, **asked)))  # type: ignore[arg-type]

    def base(self, commit: str) -> str | None:
        """The newest commit of the main branch that a commit builds on; None if there is none."""
        ours = set(self._history(MAIN))
        return next((one for one in self._history(commit) if one in ours), None)

    def comment(self, number: int, text: str) -> None:
        """Comment on a pull request, unless it has a comment that begins with the same line.

        Raises:
            DataError: the Hub refuses, or does not answer.
        """
        api, first = self._remote.api, text.partition("\n")[0]

        def add() -> None:
            events = api.get_discussion_details(self.name, number, repo_type="dataset").events
            if not any(str(getattr(event, "content", "")).startswith(first) for event in events):
                api.comment_discussion(self.name, number, text, repo_type="dataset")

        self._ask(add)

    def _history(self, revision: str) -> Sequence[str]:
        listed = self._remote.api.list_repo_commits
        return self._ask(lambda: [one.commit_id for one in listed(self.name, repo_type="dataset", revision=revision)])

    def _ask(self, call: Callable[[], T]) -> T:
        """What a call returns, after more tries if the server is busy.

        Raises:
            DataError: the server refuses, or does not answer.
        """

        def translated() -> T:
            with translate_errors(self.name):
                return call()

        return retry(translated, time.sleep, TRIES, _NETWORK_HINT)


def changed(files: Mapping[str, bytes], there: Mapping[str, RemoteFile]) -> dict[str, bytes]:
    """Those of some files whose content is not the listed one of the same path."""
    return {path: content for path, content in files.items() if not _is_same(content, there.get(path))}


def _is_same(content: bytes, file: RemoteFile | None) -> bool:
    if file is None or file.size != len(content):
        return False
    try:
        return sum(map(len, file.verified([content]))) == file.size
    except FileFault:
        return False
