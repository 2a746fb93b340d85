"""Counting a corpus: files one after another, their blocks in threads, each finished file kept until all are done."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.corpus.caption_files import CaptionSource
from harness.corpus.matcher import ColumnMatcher
from harness.corpus.merge import record_of, tally_of
from harness.corpus.readers import Block, parquet_rows, read_blocks
from harness.corpus.record import CaptionFile, CorpusRecord, Counting, SkippedFile, parse_corpus_record, record_content
from harness.corpus.tally import Tally
from harness.errors import DataError, HarnessError, StorageError
from harness.files import read_file, save
from harness.progress import Reporter

SAVE_EVERY = 5.0
"""Seconds after which the counts of finished files are stored again."""

_NO_CAPTION_HINT = "check the files, and the column with --column; a shard without captions is not needed"

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class CountRequest:
    """What to count.

    Attributes:
        corpus: the name of the corpus.
        names: name -> synonyms.
        sources: the files.
        counting: the settings, without files.
        column: the column of the captions; None for the usual ones.
        threads: threads that decode and count.
        keep_going: whether a damaged file is skipped; otherwise it is an error.
        in_python: whether to count without C++.
    """

    corpus: str
    names: Mapping[str, Sequence[str]]
    sources: Sequence[CaptionSource]
    counting: Counting
    column: str | None = None
    threads: int = 1
    keep_going: bool = False
    in_python: bool = False


def count_corpus(
    request: CountRequest, checkpoint: Path, report: Reporter, count: CountFiles | None = None
) -> CorpusRecord:
    """Count the captions of a corpus.

    Args:
        request: what to count.
        checkpoint: where the counts of finished files are kept; a later call goes on from there. The caller removes it
            when the record is stored.
        report: receives progress in captions.
        count: counts files; None is ``count_files``, in this process.

    Raises:
        UserError: a file has no such column.
        DataError, StorageError: a file is damaged or cannot be read, and ``keep_going`` is off.
        DataError: no file has a caption.
    """
    counting, tally = _resume(request, checkpoint)
    done = {file.path for file in counting.files}
    if done:
        report.note(f"{len(done)} of {len(request.sources)} files are counted already")
    left = [source for source in request.sources if source.path not in done]
    count = count or partial(count_files, matcher_of(request))
    saved = time.monotonic()
    try:
        with report.stage("counting captions", parquet_rows(left), "captions") as advance:
            for work in count(request, left, tally, advance):
                counting = _add(work, counting, tally, request.keep_going, report)
                if time.monotonic() - saved > SAVE_EVERY:
                    _save(request, checkpoint, counting, tally)
                    saved = time.monotonic()
    except BaseException:
        if len(counting.files) > len(done):
            _save(request, checkpoint, counting, tally)
        raise
    if not counting.captions:
        raise DataError("there is no caption in these files, so nothing follows about the names", _NO_CAPTION_HINT)
    return record_of(request.corpus, request.names, counting, tally)


def _add(work: FileWork, counting: Counting, tally: Tally, keep_going: bool, report: Reporter) -> Counting:
    """Add a finished file to the tally; returns the settings with it."""
    if work.failure is None:
        tally.add(work.tally)
        return counting.model_copy(update={"files": (*counting.files, work.file())})
    if not keep_going:
        raise work.failure
    report.note(f"skipped: {work.failure.message}")
    skipped = SkippedFile(path=work.source.path, reason=work.failure.message)
    return counting.model_copy(update={"skipped": (*counting.skipped, skipped)})


class FileWork:
    """A file that is being counted."""

    def __init__(self, source: CaptionSource, request: CountRequest) -> None:
        self.source = source
        self.tally = Tally.empty(len(request.names), request.counting.evidence_per_concept)
        self.failure: HarnessError | None = None
        self.size, self.etag = 0, ""
        self.sha256: str | None = None

    def identify(self) -> None:
        """Find what identifies the file."""
        self.size, self.etag = self.source.stamp()
        self.sha256 = self.source.sha256()

    def count(self, matcher: ColumnMatcher, block: Block, limits: NDArray[np.uint64]) -> Tally:
        """The tally of a block, with the evidence that the limits allow."""
        tally, row = Tally.empty(len(self.tally.counts), self.tally.kept), block.first_row
        for column in block.columns():
            tally.add(matcher.count(column, self.source.path, row, np.minimum(limits, tally.limits())))
            row += len(column)
        return tally

    def take(self, future: Future[Tally] | Future[None]) -> int:
        """Add a finished block; returns its captions."""
        try:
            found = future.result()
        except HarnessError as error:
            self.failure = self.failure or error
            return 0
        if found is None or self.failure is not None:
            return 0
        self.tally.add(found)
        return found.rows

    def file(self) -> CaptionFile:
        """The entry of the record."""
        etag = self.etag if self.sha256 is None else None
        counted = {"rows": self.tally.rows, "captions": self.tally.captions}
        return CaptionFile(path=self.source.path, bytes=self.size, sha256=self.sha256, etag=etag, **counted)


CountFiles = Callable[[CountRequest, Sequence[CaptionSource], Tally, Callable[[int], None]], Iterable[FileWork]]
"""Counts files, given the tally of finished ones, and calls a function with the number of captions counted."""

_Task = tuple[FileWork, "Future[Tally] | Future[None] | None"]


def matcher_of(request: CountRequest) -> ColumnMatcher:
    """The matcher of a request's names."""
    counting = request.counting
    return ColumnMatcher(request.names, counting.context_length, counting.evidence_per_concept, request.in_python)


def count_files(
    matcher: ColumnMatcher,
    request: CountRequest,
    sources: Sequence[CaptionSource],
    finished: Tally,
    advance: Callable[[int], None],
) -> Iterator[FileWork]:
    """The files as they are counted, in their order; evidence worse than that of ``finished`` files is left out."""
    with ThreadPoolExecutor(request.threads) as pool:
        tasks = _submitted(matcher, request, sources, finished, pool)
        for work, future in _delayed(tasks, 2 * request.threads):
            if future is None:
                yield work
            else:
                advance(work.take(future))


def _submitted(
    matcher: ColumnMatcher,
    request: CountRequest,
    sources: Sequence[CaptionSource],
    finished: Tally,
    pool: ThreadPoolExecutor,
) -> Iterator[_Task]:
    """The tasks of the files; None is the end of a file."""
    for source in sources:
        work = FileWork(source, request)
        yield work, pool.submit(work.identify)
        try:
            for block in read_blocks(source, request.column):
                if work.failure is not None:
                    break
                limits = np.minimum(finished.limits(), work.tally.limits())
                yield work, pool.submit(work.count, matcher, block, limits)
        except (DataError, StorageError) as error:
            work.failure = work.failure or error
        yield work, None


def _delayed(items: Iterable[_Item], most: int) -> Iterator[_Item]:
    """The same items; up to ``most`` are taken ahead, which bounds what waits in memory."""
    waiting: deque[_Item] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > most:
            yield waiting.popleft()
    yield from waiting


def _question(request: CountRequest) -> str:
    """What decides the counts of a file; a checkpoint of another question is not used."""
    record = record_of(request.corpus, request.names, request.counting, Tally.empty(len(request.names), 0))
    return record.digest(None, request.column)


def _save(request: CountRequest, checkpoint: Path, counting: Counting, tally: Tally) -> None:
    record = record_of(request.corpus, request.names, counting, tally)
    head = json.dumps({"unfinished": _question(request)}).encode()
    save(checkpoint, head + b"\n" + record_content(record), "the counts of finished files", "choose another --out")


def _resume(request: CountRequest, checkpoint: Path) -> tuple[Counting, Tally]:
    """The settings with the files that an earlier call has finished and that are still the same, and their tally."""
    nothing = request.counting, Tally.empty(len(request.names), request.counting.evidence_per_concept)
    try:
        head, _, content = read_file(checkpoint).partition(b"\n")
        if json.loads(head) != {"unfinished": _question(request)}:
            return nothing
        record = parse_corpus_record(content, str(checkpoint))
    except (OSError, ValueError, DataError):
        return nothing
    sources = {source.path: source for source in request.sources}
    counting = record.counting
    if counting is None or any(not _is_same(file, sources.get(file.path)) for file in counting.files):
        return nothing
    return counting.model_copy(update={"skipped": ()}), tally_of(record, counting)


def _is_same(file: CaptionFile, source: CaptionSource | None) -> bool:
    if source is None:
        return False
    size, etag = source.stamp()
    return size == file.bytes and (file.sha256 or file.etag) == (source.sha256() or etag)
