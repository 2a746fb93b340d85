"""``harness leaderboard push | pull | review`` and ``harness features push | pull``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cli import console
from harness.cli.verify import check_rows, show_verdict
from harness.errors import unknown_name
from harness.hub.boards import pull_boards, push_board
from harness.hub.repository import PushOptions, Repository, Visibility
from harness.hub.review import review as review_one
from harness.progress import pluralize
from harness.results.artifacts import Artifacts
from harness.runner.request import Request
from harness.types.leaderboard import Row
from harness.verification.verify import Verdict


def push(repository: str, file: Path, name: str | None, create: Visibility | None, options: PushOptions) -> int:
    """Run ``harness leaderboard push``."""
    hub = _opened(repository, create)
    board, address = push_board(hub, file, name, options, console.reporter())
    console.lines(f"board {board}: {address or f'{repository} has it already, nothing is pushed'}")
    return 0


def pull(repository: str, out: Path, revision: str, names: Sequence[str]) -> int:
    """Run ``harness leaderboard pull``."""
    found = pull_boards(Repository(repository), out, revision, names, console.reporter())
    console.lines(*(str(out / name) for name in found))
    err = console.err()
    err.print(f"harness leaderboard verify {out / found[0]}  # recompute the scores from the predictions", markup=False)
    return 0


def review(
    repository: str, numbers: Sequence[int], data: Path | None, comment: bool, cache: Path | None, workers: int
) -> int:
    """Run ``harness leaderboard review``; 3 if a pull request may not be merged."""
    hub = Repository(repository)

    def check(rows: Sequence[Row], artifacts: Artifacts) -> list[Verdict]:
        return check_rows(rows, artifacts, data, cache, workers)

    reviews = [review_one(hub, number, check) for number in numbers or hub.pull_requests()]
    for one in reviews:
        for verdict in one.verdicts:
            show_verdict(verdict)
        console.lines(*one.problems, one.summary)
        if comment:
            hub.comment(one.number, one.text)
    if not reviews:
        console.lines(f"{repository} has no open pull request")
    refused = [one for one in reviews if not one.accepted]
    console.message(f"{pluralize(len(reviews), 'pull requests')} reviewed, {len(refused)} not to be merged")
    return console.EXIT_DIFFERENT if refused else 0


def push_features(
    repository: str, request: Request, kinds: Sequence[str], create: Visibility | None, options: PushOptions
) -> int:
    """Run ``harness features push``."""
    from harness.hub.push_features import push_features as run  # imports torch

    hub = _opened(repository, create)
    count, address = run(hub, request, kinds_of(kinds), options, console.reporter())
    files = pluralize(count, "files")
    console.lines(f"{files} of features: {address or f'{repository} has them already, nothing is pushed'}")
    return 0


def pull_features(repository: str, request: Request, kinds: Sequence[str], revision: str, sample: int) -> int:
    """Run ``harness features pull``."""
    from harness.hub.pull_features import pull_features as run  # imports torch

    found = run(Repository(repository), request, kinds_of(kinds), revision, sample, console.reporter())
    if not found.files:
        console.lines(f"nothing to pull: the cache has what {repository} has of these images and this encoder")
        return 0
    by = (
        f"{found.files - found.unsigned} signed by {', '.join(found.signers)}"
        if found.signers
        else "none signed by a key that you trust"
    )
    unsigned = f", {found.unsigned} by no key that you trust" if found.unsigned and found.signers else ""
    console.lines(f"{pluralize(found.files, 'files')} with {found.images:,} rows of features: {by}{unsigned}")
    return 0


def _opened(repository: str, create: Visibility | None) -> Repository:
    """A repository, which is created if that is asked for."""
    hub = Repository(repository)
    if create is not None:
        hub.create(create)
    return hub


def kinds_of(names: Sequence[str]) -> Sequence[str]:
    """Kinds of features; the global ones if none are named.

    Raises:
        UserError: there is no such kind.
    """
    from harness.feature_cache.kinds import KINDS  # imports torch

    for name in names:
        if name not in KINDS:
            raise unknown_name("kind of features", name, KINDS)
    return names or ("features",)
