"""``harness leaderboard verify | submit | pack`` and ``harness reproduce``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from harness.cli import console
from harness.errors import UserError
from harness.files import save
from harness.folders import cache_root
from harness.leaderboard.differences import Difference
from harness.progress import pluralize
from harness.results import submission
from harness.results.artifacts import Artifacts, MissingArtifact, open_file, open_row
from harness.results.verification_marks import FILE, Mark, update_marks
from harness.signatures import ALLOWED, SigningError
from harness.types.leaderboard import Row
from harness.types.manifest import Manifest
from harness.verification.verify import Verdict
from harness.verification.verify import verify as check


class SampleOptions(NamedTuple):
    """What is encoded again of each row.

    Attributes:
        images: how many.
        seed: draws them.
        weights: the weights, if they are a file.
        files: what the rows' methods read.
    """

    images: int
    seed: str
    weights: Path | None
    files: tuple[Path, ...]


def check_rows(
    rows: Sequence[Row], artifacts: Artifacts, data: Path | None, cache: Path | None, workers: int
) -> list[Verdict]:
    """Verify rows, also against the data if they are given."""
    source = None
    if data is not None:
        from harness.verification.source_data import SourceData  # imported only if images are read

        source = SourceData(data, tuple(rows), cache_root(cache), workers, console.reporter())
    return [check(row, artifacts, source) for row in rows]


def verify(
    file: Path, data: Path | None, sample: SampleOptions, mark: bool, cache: Path | None, workers: int, as_json: bool
) -> int:
    """Run ``harness leaderboard verify``; 3 if a row is not verified."""
    board, artifacts = open_file(file)
    if not board.rows:
        raise UserError(f"{file} has no rows", "run `harness evaluate --plugin fsnl --all-domains` first")
    verdicts = check_rows(board.rows, artifacts, data, cache, workers)
    if sample.images:
        from harness.runner.reproduce import LocalPaths
        from harness.verification.feature_sample import with_features

        for i, one in enumerate(verdicts):
            here = LocalPaths(data, sample.weights, cache, workers, tuple(_draws(one.row, artifacts)), sample.files)
            verdicts[i] = with_features(one, sample.images, sample.seed, here, console.reporter())
    if as_json:
        console.document([_json(verdict) for verdict in verdicts])
    else:
        for verdict in verdicts:
            show_verdict(verdict)
    if mark and (file.suffix == ".json" or file.is_dir()):
        _mark(file if file.is_dir() else file.parent, verdicts)
    return console.EXIT_DIFFERENT if any(one.failing for one in verdicts) else 0


def submit(address: str, out: Path) -> int:
    """Run ``harness leaderboard submit``."""
    _, row, artifacts = open_row(address)
    content = submission.pack(row, artifacts, artifacts.costs().get(row.id))
    save(out, content, "the submission", "choose another file with --out")
    what = f"{row.title}, {len(content):,} bytes"
    console.lines(f"{out}: {what}; check it with `harness leaderboard verify`")
    return 0


def pack(file: Path, out: Path) -> int:
    """Run ``harness leaderboard pack``."""
    board, _, written = submission.packed_board(file)
    for name, data in written.items():
        save(out / name, data, "the packed leaderboard", "choose another folder with --out")
    size = sum(map(len, written.values()))
    console.lines(f"{out}: {pluralize(len(board.rows), 'rows')} and all that verifies them, {size / 1e6:,.1f} MB")
    return 0


def reproduce(
    address: str,
    data: Path | None,
    pretrained: Path | None,
    files: tuple[Path, ...],
    device: str | None,
    cache: Path | None,
    workers: int,
    as_json: bool,
) -> int:
    """Run ``harness reproduce``; 3 if a result differs."""
    from harness.device import require_torch
    from harness.runner.reproduce import LocalPaths
    from harness.runner.reproduce import reproduce as run

    require_torch()
    _, row, artifacts = open_row(address)
    here = LocalPaths(data, pretrained, cache, workers, tuple(_draws(row, artifacts)), files, device)
    err = console.err()

    def before(settings: tuple[Difference, ...]) -> None:
        for one in settings:
            err.print(f"differs before it runs: {one}", style="yellow", markup=False)

    found = run(row, here, console.reporter(), before)
    if as_json:
        lists = {"settings": found.settings, "results": found.results}
        console.document({"row": row.id, **{k: [d._asdict() for d in v] for k, v in lists.items()}})
    else:
        for one in found.results:
            console.out().print(str(one), markup=False, soft_wrap=True)
        count, settings = len(found.results), len(found.settings)
        console.lines(f"{row.title}: {pluralize(count, 'differences')} in results, {settings} in settings")
    return console.EXIT_DIFFERENT if found.results else 0


def _draws(row: Row, artifacts: Artifacts) -> Iterator[Manifest]:
    """The stored few-shot draws of a row."""
    for digest in {digest for data in row.data.values() for digest in data.manifests.values() if digest}:
        with suppress(MissingArtifact):
            yield artifacts.manifest(digest)


def show_verdict(verdict: Verdict) -> None:
    """Print the status of a row, its problems and notes."""
    out, row = console.out(), verdict.row
    against = {"data": "against the data", "labels": "against the stored labels"}[verdict.against]
    style = {"verified": "green", "differs": "bold red", "not verifiable": "yellow"}[verdict.status]
    line = f"{row.title}: {verdict.status}"
    out.print(f"{line} {against}" if verdict.status == "verified" else line, style=style, markup=False)
    for text in (*verdict.problems, *verdict.notes):
        out.print(f"  {text}", markup=False, soft_wrap=True)


def _json(verdict: Verdict) -> dict[str, object]:
    row = verdict.row
    return {
        "row": row.id,
        "method": row.method,
        "shots": row.shots,
        "status": verdict.status,
        "against": verdict.against,
        "problems": verdict.problems,
        "notes": verdict.notes,
    }


def _mark(folder: Path, verdicts: list[Verdict]) -> None:
    """Sign marks of the verified rows; the user's marks of rows that are not verified are removed."""
    today = datetime.now(timezone.utc).date().isoformat()
    marks = {
        verdict.row.content_sha256: Mark(against=verdict.against, date=today) if verdict.status == "verified" else None
        for verdict in verdicts
    }
    err = console.err()
    try:
        line = update_marks(folder, marks)
    except SigningError as error:
        err.print(f"rows are not marked as verified: {error}", style="yellow", markup=False)
    else:
        text = f"{folder / FILE} is signed; others trust it with this line in their {ALLOWED}: {line}"
        err.print(text, markup=False, soft_wrap=True)
