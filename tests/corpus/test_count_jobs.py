"""Files of captions that are counted by an executor, each a job, add up to the record of one process."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from harness.corpus.caption_files import CaptionSource, find_sources
from harness.corpus.count import CountRequest, count_corpus
from harness.corpus.count_jobs import count_with
from harness.corpus.record import CorpusRecord, Counting, record_content
from harness.errors import StorageError
from harness.execution.executors import Executor, here, processes
from harness.execution.jobs import JobFailure, JobResult
from harness.progress import NullReporter

NAMES = {"sea eagle": ("erne",), "fish": (), "ibex": ()}
SETTINGS = Counting(context_length=77, min_hits=1, evidence_per_concept=3)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for number in range(4):
        lines = [f"a sea eagle with fish {row}" if row % (number + 2) else f"ibex, {row}" for row in range(60)]
        (tmp_path / f"part-{number}.txt").write_text("\n".join(lines))
    return tmp_path


def counted(files: Path, executor: Executor | None, keep_going: bool = False) -> CorpusRecord:
    sources = find_sources([str(files / "*.txt")])
    request = CountRequest("c", NAMES, sources, SETTINGS, threads=2, keep_going=keep_going)
    count = None if executor is None else partial(count_with, executor)
    return count_corpus(request, files / "unfinished", NullReporter(), count)


def test_files_of_jobs_add_up(files: Path) -> None:
    one = record_content(counted(files, None))
    assert record_content(counted(files, here)) == one
    assert record_content(counted(files, processes)) == one


def test_damaged_files_are_named_with_their_node_or_skipped(files: Path) -> None:
    (files / "part-9.txt").mkdir()
    (files / "part-8.txt").write_bytes(b"\xff\xfe")

    def on_node(jobs, *rest):
        results = list(here(jobs, *rest))
        assert all(isinstance(job, CaptionSource) for job in jobs)
        yield JobResult(0, JobFailure("lost", "was started 3 times, and its node n1 was lost"), place="n1")
        yield from results[1:]

    with pytest.raises(StorageError, match=r"part-0.txt was started 3 times, and its node n1 was lost \(on n1\)"):
        counted(files, on_node)
    record = counted(files, on_node, keep_going=True)
    assert record.counting is not None
    assert [file.reason.rpartition(" ")[2] for file in record.counting.skipped][:1] == ["n1)"]
