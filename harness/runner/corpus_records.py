"""The records of corpora that go with a run: those given, those of the data folder, and the released lists."""

from __future__ import annotations

from harness.corpus.record import CorpusRecord, read_record
from harness.corpus.released import released_record
from harness.datasets.layout import RECORDS
from harness.files import list_paths
from harness.runner.plan import Plan
from harness.runner.request import Request


def corpus_records(request: Request, plan: Plan) -> list[CorpusRecord]:
    """Every record whose facts a run adds to its rows.

    Raises:
        UserError: a given file cannot be read.
        DataError: a file is not a record.
    """
    own = [] if plan.root is None else list_paths(plan.root / RECORDS, "*.json")
    found = [read_record(path) for path in (*request.corpus_records, *own)]
    dataset = plan.jobs[0].spec.dataset.name if plan.jobs else ""
    for data in plan.domains.values():
        names = {side: scored.names for side, scored in data.sheet.sides.items()}
        if (lists := released_record(dataset, names)) is not None:
            found.append(lists)
    return found
