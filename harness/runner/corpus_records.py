"""The records of corpora that go with a run: those given, those of the data folder, and the released lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.corpus.record import CorpusRecord, read_record
from harness.corpus.released import released_record
from harness.datasets.layout import RECORDS
from harness.files import list_paths
from harness.progress import Reporter
from harness.runner.plan import Plan
from harness.runner.request import Request


def given_records(request: Request) -> dict[Path, CorpusRecord]:
    """The records that a request names; they are read before anything else.

    Raises:
        UserError: a file cannot be read.
        DataError: a file is not a record.
    """
    return {path: read_record(path) for path in request.corpus_records}


def corpus_records(given: Mapping[Path, CorpusRecord], plan: Plan, report: Reporter) -> list[CorpusRecord]:
    """Every record whose facts a run adds to its rows; a given one of another corpus is reported.

    Raises:
        DataError: a file of the data folder is not a record.
    """
    corpus = plan.resolved.record.corpus
    for path, record in given.items():
        if record.corpus != corpus:
            report.note(f"{path} is not used: its corpus is {record.corpus}, and that of the backbone is {corpus}")
    found = list(given.values())
    found += [] if plan.root is None else map(read_record, list_paths(plan.root / RECORDS, "*.json"))
    dataset = plan.jobs[0].spec.dataset.name if plan.jobs else ""
    for data in plan.domains.values():
        names = {side: scored.names for side, scored in data.sheet.sides.items()}
        if (lists := released_record(dataset, names)) is not None:
            found.append(lists)
    return found
