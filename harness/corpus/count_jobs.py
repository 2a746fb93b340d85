"""Counting with an executor: every file of captions is a job, such as of a node of a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from harness.corpus.caption_files import CaptionSource
from harness.corpus.count import CountRequest, FileWork, count_files, matcher_of
from harness.corpus.merge import record_of, tally_of
from harness.corpus.record import parse_corpus_record, record_content
from harness.corpus.tally import Tally
from harness.errors import StorageError
from harness.execution.executors import Executor
from harness.execution.jobs import JobFailure, Limits


class FileCounter:
    """Counts files in its process.

    Args:
        request: what to count, without files.
        device: is not used.
    """

    def __init__(self, request: CountRequest, device: str) -> None:
        self._request, self._matcher = request, matcher_of(request)

    def __call__(self, source: CaptionSource) -> bytes:
        """The record of one file, or why there is none, as JSON."""
        nothing = Tally.empty(len(self._request.names), self._request.counting.evidence_per_concept)
        (work,) = count_files(self._matcher, self._request, [source], nothing, lambda captions: None)
        if work.failure is not None:
            return json.dumps({"failure": work.failure.message, "hint": work.failure.hint}).encode()
        counting = self._request.counting.model_copy(update={"files": (work.file(),)})
        return record_content(record_of(self._request.corpus, self._request.names, counting, work.tally))


def count_with(
    executor: Executor,
    request: CountRequest,
    sources: Sequence[CaptionSource],
    finished: Tally,
    advance: Callable[[int], None],
) -> Iterator[FileWork]:
    """The files as they are finished, in any order; the sum does not depend on it.

    Args:
        executor: runs the processes.
        request: what to count.
        sources: the files.
        finished: is not used: files are counted without knowing the evidence of others.
        advance: is called with the number of captions that were counted.
    """
    make_worker = partial(FileCounter, replace(request, sources=(), threads=1))
    for result in executor(sources, make_worker, Limits(request.threads)):
        work = _finished(sources[result.number], request, result.value)
        if work.failure is not None and result.place:
            work.failure = StorageError(f"{work.failure.message} (on {result.place})", work.failure.hint)
        advance(work.tally.rows)
        yield work


def _finished(source: CaptionSource, request: CountRequest, value: bytes | JobFailure) -> FileWork:
    work = FileWork(source, request)
    if isinstance(value, JobFailure):
        work.failure = StorageError(f"the process that counts {source.path} {value.reason}", "run the command again")
    elif value.startswith(b'{"failure"'):
        answer = json.loads(value)
        work.failure = StorageError(answer["failure"], answer["hint"])
    else:
        record = parse_corpus_record(value, source.path)
        assert record.counting is not None, "it was counted"
        (file,) = record.counting.files
        work.tally = tally_of(record, record.counting)
        work.tally.rows, work.tally.captions = file.rows, file.captions
        work.size, work.etag, work.sha256 = file.bytes, file.etag or "", file.sha256
    return work
